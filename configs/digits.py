"""python train.py

The default, which downloads nothing: the 1,797 real handwritten digits of
scikit-learn, 8x8 with a border of one pixel, enlarged to 32 px.

Expected: readable digits after less than two and a half minutes of training on two CPU
cores. All settings but the steps are those of configs/mnist.py, where they were
measured.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist"), dataset="digits", steps=4000, workdir=None
    )
