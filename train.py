"""Trains a Self-Attention GAN: python train.py --dataset=celeb_a

The same as `sagan-tf train` and `python -m sagan_tf train`.
"""

import sys

from sagan_tf.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command(["train", *sys.argv[1:]]))
