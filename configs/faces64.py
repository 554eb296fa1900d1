"""python train.py --dataset=faces64

Faces of CelebA at 64 px in 20 minutes on two CPU cores with bfloat16 arithmetic: the
settings of configs/mnist.py, wider, in color, and with what keeps a small data set from
being memorized.

Expected on 8,560 of CelebA's training images, in 1,151 s (105 ms a step) on two cores
of an AMD EPYC (Zen 5): Fréchet distances of 22 ± 3, 7 ± 2 and 20 ± 4 to them by three
extractors, over three seeds. docs/results.md has what was tried. With constant learning
rates the distances rose again before step 12,000. 9,000 steps, with decay from 3,000,
had 33, 10 and 28.

Better with more time, 39 minutes there (calculated): `--generator_learning_rate=7e-4
--discriminator_learning_rate=7e-4 --steps=22000 --decay_end_step=22000` made the
networks of pretrained/faces64.

Your own pictures: `--config=faces64 --dataset=folder --data_dir=my_pictures`. The crop
of 160 px is CelebA's alone.
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
