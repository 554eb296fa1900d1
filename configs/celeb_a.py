"""python train.py --dataset=celeb_a

The 64 px seed (heykeetae/Self-Attention-GAN), which most people know as SAGAN.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="celeb_a",
        crop_size=160,
        image_size=64,
    )
