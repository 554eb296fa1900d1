"""python -m experiments.ablations --data_dir=DIR

The paper's ablations in small: self-attention against a residual block of about as many
weights at several resolutions, spectral normalization, and the balance of both
networks' updates, on CIFAR-10 with classes and on CelebA at 32 px, after equal steps
and after equal times.
"""

from experiments.running import run_experiment

STEPS = 2000
INTERVAL = 500  # of the checkpoints that are scored

# PyTorch-StudioGAN's networks for CIFAR-10, narrow, by the paper's recipe with learning
# rates twice as large.
BASE = [
    "--config=cifar10",
    "--width=8",
    "--discriminator_width=16",
    "--batch_size=32",
    "--discriminator_steps=1",
    "--generator_learning_rate=2e-4",
    "--discriminator_learning_rate=8e-4",
    "--beta_1=0",
    "--beta_2=0.9",
    "--precision=mixed_bfloat16",
    f"--steps={STEPS}",
    f"--checkpoint_interval={INTERVAL}",
    f"--keep_checkpoints={STEPS // INTERVAL}",
    "--log_interval=100",
]
DATA = {
    "cifar10": ["--dataset=cifar10"],
    "celeb_a": [
        "--dataset=celeb_a",
        "--crop_size=160",
        "--horizontal_flip",
        "--noconditional",
    ],
}


def _attend(resolution: int, kind: str = "pooled") -> list[str]:
    """Returns the flags of attention, or of its replacement, in both networks.

    The discriminator's first map is of 16x16.
    """
    discriminator = resolution if resolution <= 16 else ""
    return [
        f"--attention={kind}",
        f"--generator_attention_resolutions={resolution}",
        f"--discriminator_attention_resolutions={discriminator}",
    ]


def _update(steps: int) -> list[str]:
    """Returns the flags of equal learning rates, and of the discriminator's updates."""
    return [
        f"--discriminator_steps={steps}",
        "--generator_learning_rate=4e-4",
        "--discriminator_learning_rate=4e-4",
    ]


_NO_GENERATOR_SPECTRAL_NORM = [
    "--nogenerator_spectral_normalization",
    "--noconditional_spectral_normalization",  # of conditional batch normalization
]
CHANGES = {
    "attention_16": [],
    "no_attention": [
        "--generator_attention_resolutions=",
        "--discriminator_attention_resolutions=",
    ],
    "attention_8": _attend(8),
    "attention_32": _attend(32),
    "full_attention_16": _attend(16, "full"),
    "residual_8": _attend(8, "residual"),
    "residual_16": _attend(16, "residual"),
    "residual_32": _attend(32, "residual"),
    "no_spectral_norm": [
        *_NO_GENERATOR_SPECTRAL_NORM,
        "--nodiscriminator_spectral_normalization",
    ],
    "spectral_norm_in_D": _NO_GENERATOR_SPECTRAL_NORM,
    "updates_1_1": _update(1),
    "updates_5_1": _update(5),
}
VARIANTS = {
    f"{data}_{name}": [*BASE, *of_data, *change]
    for data, of_data in DATA.items()
    for name, change in CHANGES.items()
}

if __name__ == "__main__":
    steps = range(INTERVAL, STEPS + 1, INTERVAL)
    run_experiment("The paper's ablations.", VARIANTS, "runs/ablations", steps)
