"""python train.py

The 1,797 handwritten digits of scikit-learn (8x8, resized to 32): nothing is
downloaded.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="digits",
        image_size=32,
        channels=1,
        width=16,
        batch_size=32,
        steps=3000,
        generator_attention_resolutions=(16,),
        discriminator_attention_resolutions=(16,),
        generator_spectral_normalization=False,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
        sample_interval=500,
        checkpoint_interval=500,
    )
