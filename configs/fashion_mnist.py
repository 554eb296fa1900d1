"""python train.py --dataset=fashion_mnist

The 60,000 training images of Fashion-MNIST, padded to 32 px.

Expected: about four minutes of training on two CPU cores. All settings are those of
configs/mnist.py, where they were measured.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist"), dataset="fashion_mnist", workdir=None
    )
