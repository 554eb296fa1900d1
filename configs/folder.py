"""python train.py --dataset=folder --data_dir=DIR

Your own images: any sizes, modes and formats, flat or one sub-folder a class. The
largest central square of each is resized to --image_size: 32, 64, 128 or 256.
--channels=1 for grey images, 4 to keep transparency.

All numbers are the 64 px seed's (configs/celeb_a.py); the moving average makes up for
a stop at any time, so look at the grids and end the run when they please you. A few
thousand images are a beginning; with a few hundred the discriminator learns them by
heart.
"""

from sagan_tf.config import Config


def get_config():
    return Config(dataset="folder", steps=100_000)
