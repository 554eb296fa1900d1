"""python train.py --dataset=imagenet128_official

The network on ImageNet at 128 px as the official code, brain-research/
self-attention-gan (TensorFlow 1), has it: attention at 32x32, where the paper reports
FID 18.28 and IS 51.43; Adam's beta_2 0.999 where the paper has 0.9; conditional batch
norm with momentum 0.999, the last one 0.9999, epsilon 1e-5; spectral normalization with
epsilon 1e-12; Xavier start; hinge; rates 1e-4 and 4e-4; batch 256; 1,000,000 steps; no
mirroring, no moving average.

Where this differs: the official code moves the discriminator's u in the pass over real
images only, here each of its own two passes does.

For the images see configs/imagenet128.py. No figure is claimed for this code: the run
was not made.
"""

import dataclasses

from configs import imagenet128


def get_config():
    return dataclasses.replace(
        imagenet128.get_config(),
        generator_attention_resolutions=(32,),
        discriminator_attention_resolutions=(32,),
        spectral_norm_epsilon=1e-12,
        batch_norm_momentum=0.999,
        last_batch_norm_momentum=0.9999,
        ema_decay=0.0,
        ema_start_step=0,
    )
