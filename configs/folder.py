"""python train.py --dataset=folder --data_dir=DIR

Your own images of any size, mode and format, in one folder or in sub-folders. The
largest central square of each image is resized to --image_size: 32, 64, 128 or 256.
--channels=1 is for gray images; --channels=4 keeps transparency.

All settings but the steps are those of configs/celeb_a.py. Samples come from the EMA
generator, so training may end at any time: look at the grids in samples/ and stop when
they are good. A few thousand images are a start. The discriminator memorizes a few
hundred.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(dataset="folder", steps=100_000)
