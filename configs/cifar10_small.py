"""python train.py --dataset=cifar10_small

CIFAR-10 at 32 px with classes, in half an hour on two CPU cores with bfloat16
arithmetic: the settings of configs/mnist_conditional.py, wider, in color, and with what
keeps a small data set from being memorized.

Expected: see docs/results.md, three seeds by three extractors. configs/cifar10.py has
the networks and the recipe of published scores, for GPUs.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist_conditional"),
        dataset="cifar10",
        channels=3,
        horizontal_flip=True,
        augmentation=("translation",),
        width=64,
        steps=12_000,
        gradient_penalty_interval=1,
        decay_end_step=12_000,
        precision="mixed_bfloat16",
        workdir=None,
    )
