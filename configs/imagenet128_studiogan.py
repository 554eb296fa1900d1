"""python train.py --dataset=imagenet128_studiogan

The network on ImageNet at 128 px with PyTorch-StudioGAN's recipe, as MMGeneration
reproduced it: FID 34.8, IS 31.6. With the same network, the recipe of
configs/imagenet128.py has FID 12.83. This one differs from it in:

- spectral normalization with epsilon 1e-6, also of the tables of conditional batch
  norm, whose epsilon is 1e-4 and whose statistics are shared among all devices;
- orthogonal initializer, except for these tables, which have Glorot's here;
- random horizontal flip;
- no EMA.

configs/imagenet128.py says where the images come from. The run was not made, and no
score is claimed for this code.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("imagenet128"),
        spectral_norm_epsilon=1e-6,
        conditional_spectral_normalization=True,
        initializer="orthogonal",
        batch_norm_epsilon=1e-4,
        synchronized_batch_norm=True,
        horizontal_flip=True,
        ema_decay=0.0,
        ema_start_step=0,
    )
