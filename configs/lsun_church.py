"""python train.py --dataset=lsun_church

LSUN's outdoor churches, 126,227 pictures, at 64 px: the second set of the PyTorch
seed (heykeetae/Self-Attention-GAN). All numbers as in configs/celeb_a.py. The seed
squashes each picture into a square; here its central square is taken.

TensorFlow Datasets downloads 2.3 GiB the first time. Train on a GPU. No figure is
claimed for the whole run, which was not made.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="lsun/church_outdoor",
        image_size=64,
        channels=3,
        width=64,
        latent_dim=128,
        generator_attention_resolutions=(16, 32),
        discriminator_attention_resolutions=(8, 4),
        batch_size=64,
        steps=1_000_000,
        loss="hinge",
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.9,
        adam_epsilon=1e-8,
    )
