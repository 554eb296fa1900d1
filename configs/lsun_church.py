"""python train.py --dataset=lsun_church

LSUN's outdoor churches, 126,227 images, at 64 px: the second data set of
heykeetae/Self-Attention-GAN (PyTorch), with the settings of configs/celeb_a.py, which
are the defaults of `Config`.

Difference from the source: it squashes each image into a square. Here the central
square is cropped.

Expected: TensorFlow Datasets downloads 2.3 GiB the first time. Train on a GPU. The
whole run was not made, and no score is claimed for it.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(dataset="lsun/church_outdoor")
