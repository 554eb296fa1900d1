"""python train.py --dataset=mnist_conditional

MNIST at 32 px with classes: the small configuration for everything that has to do with
labels. It is configs/mnist.py with labels in both networks, and takes as long.

Expected: a classifier that assigns 99.2 % of the test digits to their class assigns
99.1 to 99.3 % of the images to the class that was asked for, and 96 to 97 % of those of
the worst class (two classifiers, 200 and 500 images per class, one seed).

With the paper's residual networks, hinge loss and spectral normalization the images
were good after 1,500 steps (a Fréchet distance of 9.4 to the training digits, 3.6 now,
by the same extractor) and fell apart after 3,000 (44). The R1 penalty keeps them
together, but a step of those networks takes three times as long: 9.8 after 3,000.
"""

import dataclasses

from sagan_tf.config import Config, load_preset


def get_config() -> Config:
    return dataclasses.replace(load_preset("mnist"), conditional=True, workdir=None)
