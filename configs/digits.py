"""python train.py

The default, which downloads nothing: the 1,797 real handwritten digits of
scikit-learn, 8x8 with a border of one, enlarged to 32 px. Under two and a half minutes
of training on two CPU cores for digits a person can read. All numbers are those of
configs/mnist.py, where they were measured, with fewer steps.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="digits",
        image_size=32,
        channels=1,
        width=32,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(),
        generator_spectral_normalization=False,
        batch_size=32,
        steps=4000,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
    )
