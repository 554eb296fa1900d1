"""python train.py --dataset=imagenet64

ImageNet by class at 64 px, `imagenet_resized/64x64` of TensorFlow Datasets, which needs
no download by hand (13 GiB). All other numbers are those of configs/imagenet128.py, but
for attention, at 32x32: half the size, as there. No figure is published for this, and
none is claimed: the run was not made.
"""

import dataclasses

from configs import imagenet128


def get_config():
    return dataclasses.replace(
        imagenet128.get_config(),
        dataset="imagenet_resized/64x64",
        workdir=None,
        image_size=64,
        generator_attention_resolutions=(32,),
        discriminator_attention_resolutions=(32,),
    )
