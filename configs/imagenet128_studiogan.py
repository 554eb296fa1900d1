"""python train.py --dataset=imagenet128_studiogan

The network on ImageNet at 128 px by PyTorch-StudioGAN's recipe, as MMGeneration ran it
again: FID 34.8, IS 31.6, where configs/imagenet128.py's recipe, with the same network,
has 12.83. Its differences from that one: spectral normalization with epsilon 1e-6, also
of the tables of conditional batch norm, whose epsilon is 1e-4 and whose statistics are
those of all devices together; orthogonal start (but of these tables, which start by
Glorot's rule here); images mirrored at random; no moving average.

For the images see configs/imagenet128.py. No figure is claimed for this code: the run
was not made.
"""

import dataclasses

from configs import imagenet128


def get_config():
    return dataclasses.replace(
        imagenet128.get_config(),
        spectral_norm_epsilon=1e-6,
        conditional_spectral_normalization=True,
        initializer="orthogonal",
        batch_norm_epsilon=1e-4,
        synchronized_batch_norm=True,
        horizontal_flip=True,
        ema_decay=0.0,
        ema_start_step=0,
    )
