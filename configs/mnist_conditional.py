"""python train.py --dataset=mnist_conditional

MNIST at 32 px with classes: the small configuration for everything that has to do with
labels. It is configs/mnist.py with labels in both networks.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(load_preset("mnist"), conditional=True, workdir=None)
