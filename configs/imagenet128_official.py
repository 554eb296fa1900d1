"""python train.py --dataset=imagenet128_official

The network on ImageNet at 128 px as in the official code, brain-research/
self-attention-gan (TensorFlow 1): attention at 32x32, for which the paper reports FID
18.28 and IS 51.43; beta_2 of Adam 0.999, where the paper has 0.9; conditional batch
norm with momentum 0.999, the last one 0.9999, and epsilon 1e-5; spectral normalization
with epsilon 1e-12; Xavier initializer; hinge loss; learning rates 1e-4 and 4e-4; batch
size 256; 1,000,000 steps; no horizontal flip, no EMA.

Difference: the official code updates the discriminator's u in the pass over real images
only. Here, both passes of the discriminator's own update do.

configs/imagenet128.py says where the images come from. The run was not made, and no
score is claimed for this code.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("imagenet128"),
        generator_attention_resolutions=(32,),
        discriminator_attention_resolutions=(32,),
        spectral_norm_epsilon=1e-12,
        batch_norm_momentum=0.999,
        last_batch_norm_momentum=0.9999,
        ema_decay=0.0,
        ema_start_step=0,
    )
