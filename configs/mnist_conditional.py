"""python train.py --dataset=mnist_conditional

MNIST's digits by class, at 32 px, with the paper's residual networks in small: the toy
configuration for everything that has to do with labels.

PENDING
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="mnist",
        image_size=32,
        channels=1,
        architecture="resnet",
        conditional=True,
        width=8,
        discriminator_width=32,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(8,),
        generator_spectral_normalization=False,
        batch_size=32,
        steps=2400,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
    )
