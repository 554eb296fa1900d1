"""python train.py --dataset=mnist

The small configuration: the 60,000 training digits of MNIST, padded to 32 px, in about
four minutes on two cores of an AMD EPYC (Zen 5).

Expected: see docs/results.md, three seeds by three extractors.

The networks are those of configs/celeb_a.py with one block fewer. The settings were
chosen by three small classifiers of different tasks and widths. Their Fréchet distances
of 5,000 images to the training digits, at the same step, with one seed, trained under
JAX on a GPU:

    what was tried                                   step    labels  rotations  narrow
    hinge loss and spectral normalization           6,500      19.5       0.83     4.5
    the same without attention                      6,500      14.2       0.61     3.4
    non-saturating loss, R1 penalty, weight 1       6,500      12.0       0.50     2.9
    - computed every fourth step, no attention      6,500      10.4       0.52     2.6
    - weight 0.3, no attention                      6,500      14.2       0.83     3.1
    - both learning rates 2e-3, no attention        6,500      11.2       0.41     2.9
    - batch size 16, no attention                   6,500      18.8       0.70     4.6
    - width 48, no attention                        6,500       6.6       0.51     1.8
    relativistic loss, R1 and R2, weight 1          6,500      18.2       0.66     4.4
    hinge loss, learning rates decay from 5,000     6,500      21.2       0.92     4.8
    hinge loss, random translation                  6,500      38.9       1.34     9.5

On two cores, without attention, the second row takes 19.6 ms a step, R1 in every step
25.7 and in every fourth one 20.3. With attention at 8x8 in the generator it is 22.5,
and 39.7 with width 48. Attention gains nothing here. It is there so that there are
attention maps.
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
