"""python train.py --dataset=imagenet128_paper

The network on ImageNet at 128 px as the paper (arXiv 1805.08318) describes it; FID
18.65, IS 52.52 there. Its numbers: attention at 64x64 in both networks, hinge, Adam
1e-4 and 4e-4 (TTUR), betas 0 and 0.9, batch 256, 1,000,000 steps, spectral
normalization in both. What it does not say is the official code's
(configs/imagenet128_official.py): conditional batch norm's momentum 0.999 and the last
one's 0.9999, Xavier start, no mirroring, no moving average. Attention's keys and
values are the official code's too, max-pooled, values of C/2 channels; the paper's
equations have no pooling, and C/8.

For the images see configs/imagenet128.py. No figure is claimed for this code: the run
was not made.
"""

import dataclasses

from configs import imagenet128_official


def get_config():
    return dataclasses.replace(
        imagenet128_official.get_config(),
        generator_attention_resolutions=(64,),
        discriminator_attention_resolutions=(64,),
        beta_2=0.9,
    )
