"""python train.py --dataset=imagenet128_paper

The network on ImageNet at 128 px as the paper (arXiv 1805.08318) describes it, with FID
18.65 and IS 52.52. Its numbers: attention at 64x64 in both networks, hinge loss, Adam
with learning rates 1e-4 and 4e-4 (TTUR) and betas 0 and 0.9, batch size 256, 1,000,000
steps, spectral normalization in both networks.

What the paper does not say is as in the official code (configs/
imagenet128_official.py): momentum 0.999 of conditional batch norm, 0.9999 of the last
one, Xavier initializer, no horizontal flip, no EMA. Keys and values of attention are as
in the official code too: max-pooled, with C/2 value channels. The paper's equations
have no pooling, and C/8.

configs/imagenet128.py says where the images come from. The run was not made, and no
score is claimed for this code.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("imagenet128_official"),
        generator_attention_resolutions=(64,),
        discriminator_attention_resolutions=(64,),
        beta_2=0.9,
    )
