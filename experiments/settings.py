"""python -m experiments.settings --data_dir=DIR

What the settings of configs/mnist.py are worth: each variant changes one of them, or
those that belong together, after equal steps and after equal times.
"""

from experiments.running import run_experiment

STEPS = 3000
INTERVAL = 1000  # of the checkpoints that are scored

BASE = [
    "--dataset=mnist",
    f"--steps={STEPS}",
    f"--checkpoint_interval={INTERVAL}",
    f"--keep_checkpoints={STEPS // INTERVAL}",
    "--log_interval=100",
]
CHANGES = {
    "preset": [],
    "hinge_loss": [
        "--loss=hinge",
        "--discriminator_spectral_normalization",
        "--gradient_penalty=",
    ],
    "penalty_each_step": ["--gradient_penalty_interval=1"],
    "no_attention": ["--generator_attention_resolutions="],
    "batch_16": ["--batch_size=16"],
    "width_48": ["--width=48"],
    "learning_rates_2e-3": [
        "--generator_learning_rate=2e-3",
        "--discriminator_learning_rate=2e-3",
    ],
    "decay": [f"--decay_start_step={INTERVAL}", f"--decay_end_step={STEPS}"],
}
VARIANTS = {name: [*BASE, *change] for name, change in CHANGES.items()}

if __name__ == "__main__":
    steps = range(INTERVAL, STEPS + 1, INTERVAL)
    run_experiment("The settings of small presets.", VARIANTS, "runs/settings", steps)
