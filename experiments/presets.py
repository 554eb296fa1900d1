"""python -m experiments.presets --data_dir=DIR

What the presets for two CPU cores reach, over three seeds.
"""

from experiments.running import run_experiment

VARIANTS = {
    "mnist": ["--dataset=mnist"],
    "mnist_conditional": ["--dataset=mnist_conditional"],
    "faces64": ["--dataset=faces64"],
    "cifar10_small": ["--dataset=cifar10_small"],
}

if __name__ == "__main__":
    run_experiment("What presets for two cores reach.", VARIANTS, "runs/presets")
