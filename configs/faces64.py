"""python train.py --dataset=faces64

Faces of CelebA at 64 px in a quarter of an hour on two CPU cores with bfloat16
arithmetic: the settings of configs/mnist.py, wider, in color, and with what keeps a
small data set from being memorized.

Expected, from one run on the 8,560 training images at hand, which took 846 s (94 ms a
step): a Fréchet distance of 87 to them by a classifier of CelebA's attributes (held-out
images: 1.8), 5.8 by one of rotations (0.4). With constant learning rates and 15,000
steps it was 100 and 18 at step 10,000, and fell apart before 12,000. Without
translation, with decay from step 4,000, it was 244 and 6.6 at step 4,000, where it is
152 and 18 with it. With 12,000 steps and decay from step 4,000, two seeds had 109 and
129, 4.4 and 4.1: better by one, worse by the other. docs/results.md has more of what
was tried. After this run the generator's attention had one key that most queries attend
to: attention gains little here.

Other faces than CelebA's: `--config=faces64 --dataset=folder --data_dir=my_pictures`.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(
        load_preset("mnist"),
        dataset="celeb_a",
        crop_size=160,
        image_size=64,
        channels=3,
        horizontal_flip=True,
        augmentation=("translation",),
        width=48,
        generator_attention_resolutions=(16,),
        batch_size=16,
        steps=11_000,
        gradient_penalty_interval=1,
        decay_start_step=4000,
        decay_end_step=11_000,
        precision="mixed_bfloat16",
        workdir=None,
    )
