"""python train.py --dataset=folder_conditional --data_dir=DIR

Your own images with classes: DIR has one sub-folder per class, named after it. Sizes,
modes and formats are as in configs/folder.py. `python -m sagan_tf sample
--workdir=runs/folder_conditional --labels=cat,dog` samples classes by name.

The networks are the paper's at 64 px, with channels 1024 at 4x4, then 512-256-128-64.
The recipe is that of configs/imagenet128.py, except for what a small data set needs.
These choices were not measured: batch size 64, random horizontal flip, and 100,000
steps. For a few thousand images or fewer, add --augmentation=color,translation,cutout
(DiffAugment, arXiv 2006.10738). It is not the default because it slows down training on
larger data sets.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("imagenet64"),
        dataset="folder",
        workdir=None,
        horizontal_flip=True,
        batch_size=64,
        steps=100_000,
    )
