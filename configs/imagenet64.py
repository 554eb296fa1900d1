"""python train.py --dataset=imagenet64

ImageNet at 64 px with classes: `imagenet_resized/64x64` of TensorFlow Datasets, which
needs no download by hand (13 GiB). All other settings are those of
configs/imagenet128.py, except that attention is at 32x32: half the image size, as
there.

No score is published for this. The run was not made, and no score is claimed for it.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("imagenet128"),
        dataset="imagenet_resized/64x64",
        workdir=None,
        image_size=64,
        generator_attention_resolutions=(32,),
        discriminator_attention_resolutions=(32,),
    )
