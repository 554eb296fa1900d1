"""python train.py --dataset=mnist_conditional

MNIST at 32 px with classes: the small configuration for everything that has to do with
labels. It is configs/mnist.py with labels in both networks and learning rates that
decay, and takes as long.

Expected: see docs/results.md, three seeds by three extractors, with and without the
decay, and what the paper's residual networks reach.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist"),
        conditional=True,
        decay_start_step=4000,
        decay_end_step=10_000,
        workdir=None,
    )
