"""python train.py

The default, which downloads nothing: the 1,797 real handwritten digits of
scikit-learn, 8x8 with a border of one pixel, enlarged to 32 px.

Expected: readable digits after two to four minutes of training on two CPU cores. The
networks are those of configs/mnist.py, the loss and spectral normalization those of the
SAGAN paper, so that the first run shows all of its parts.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist"),
        dataset="digits",
        steps=4000,
        loss="hinge",
        discriminator_spectral_normalization=True,
        gradient_penalty=None,
        gradient_penalty_weight=10.0,
        gradient_penalty_interval=1,
        workdir=None,
    )
