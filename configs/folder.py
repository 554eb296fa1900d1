"""python train.py --dataset=folder --data_dir=DIR

Your own images: any sizes, modes and formats, flat or one sub-folder a class. The
64 px seed's networks and rates.
"""

from sagan_tf.config import Config


def get_config():
    return Config(dataset="folder")
