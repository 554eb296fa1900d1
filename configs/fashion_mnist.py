"""python train.py --dataset=fashion_mnist

Fashion-MNIST's 60,000 training pictures, padded to 32 px. All numbers are those of
configs/mnist.py, where they were measured; about four minutes on two CPU cores.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="fashion_mnist",
        image_size=32,
        channels=1,
        width=32,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(),
        generator_spectral_normalization=False,
        batch_size=32,
        steps=6500,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
    )
