"""python train.py --dataset=folder_conditional --data_dir=DIR

Your own images by class: DIR has one sub-folder a class, its name the class's. Sizes,
modes and formats are as with configs/folder.py. `python -m sagan_tf sample
--workdir=runs/folder_conditional --labels=cat,dog` draws them by name.

The networks are the paper's at 64 px, 512-256-128-64 from 1024@4, and the recipe is
that of configs/imagenet128.py but for what a small set wants, by judgement and not by
measurement: batch 64, mirrored images, and, for a few thousand images or fewer,
`--augmentation=color,translation,cutout` (DiffAugment, arXiv 2006.10738), which is left
out here because it slows the learning of larger ones.
"""

import dataclasses

from configs import imagenet64


def get_config():
    return dataclasses.replace(
        imagenet64.get_config(),
        dataset="folder",
        workdir=None,
        horizontal_flip=True,
        batch_size=64,
        steps=100_000,
    )
