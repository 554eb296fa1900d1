"""python train.py --dataset=lsun_church

LSUN's outdoor churches, 126,227 pictures, at 64 px: the second set of the PyTorch
seed (heykeetae/Self-Attention-GAN), with the numbers of configs/celeb_a.py, which are
`Config`'s defaults. The seed squashes each picture into a square; here its central
square is taken.

TensorFlow Datasets downloads 2.3 GiB the first time. Train on a GPU. No figure is
claimed for the whole run, which was not made.
"""

from sagan_tf.config import Config


def get_config():
    return Config(dataset="lsun/church_outdoor")
