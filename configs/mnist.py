"""python train.py --dataset=mnist

The small configuration: the 60,000 training digits of MNIST, padded to 32 px, in about
four minutes on two cores of an AMD EPYC (Zen 5).

Expected: see docs/results.md, three seeds by three extractors.

The networks are those of configs/celeb_a.py with one block fewer.
experiments/settings.py compares the settings with others; docs/results.md has what it
found.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="mnist",
        image_size=32,
        channels=1,
        width=32,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(),
        generator_spectral_normalization=False,
        discriminator_spectral_normalization=False,
        batch_size=32,
        steps=10_000,
        loss="non_saturating",
        gradient_penalty="r1",
        gradient_penalty_weight=1.0,
        gradient_penalty_interval=4,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
        sample_interval=500,
        checkpoint_interval=500,
    )
