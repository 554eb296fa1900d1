"""Held-out images: real images that a yardstick can be made of.

They are a tenth of the run's training split. The offline classifier is never trained
on them, and a reference that they are compared with leaves them out.
"""

import dataclasses
import hashlib
import re
from typing import NamedTuple

import numpy as np

from sagan_tf.config import Config
from sagan_tf.data import load_images, open_source
from sagan_tf.data.loading import choose, load_attributes
from sagan_tf.data.sources import Source

_FRACTION, _MOST_IMAGES = 0.1, 10_000
_SEED = 1706  # of the draw, whatever the run's seed


def held_out_split(source: Source, used: str) -> str | None:
    """Returns the split of held-out images, or None if a part must be held out.

    Args:
        source: `Source`.
        used: Splits that are trained on or compared with, joined by `+`.
    """
    splits = source.splits()
    names = ("test", "validation")
    return next((n for n in names if n in splits and not overlaps(n, used)), None)


def overlaps(split: str, other: str) -> bool:
    """Returns whether two splits, or slices of them, can have images in common."""
    names = [set(re.findall(r"(?:^|\+)\s*(\w+)", text)) for text in (split, other)]
    return bool(names[0] & names[1]) or "all" in names[0] | names[1]


def count_held_out(num_images: int) -> int:
    """Returns how many of `num_images` images are held out.

    A tenth, at most 10,000 and at least 2, as long as 2 others are left.
    """
    held_out = min(int(_FRACTION * num_images), _MOST_IMAGES)
    return max(0, min(max(held_out, 2), num_images - 2))


def held_out_indices(num_images: int) -> np.ndarray:
    """Returns which of `num_images` images are held out, ascending."""
    return choose(num_images, count_held_out(num_images), _SEED)


class HeldOut(NamedTuple):
    """The held-out images.

    Attributes:
        images: uint8 `[N, image_size, image_size, channels]`.
        labels: int32 `[N]`, -1 without a class.
    """

    images: np.ndarray
    labels: np.ndarray


def load_held_out(config: Config) -> HeldOut:
    """Loads the held-out images of a config's split."""
    config = _drawing(config)
    count = count_held_out(open_source(config).pictures()[0])
    if count:
        return HeldOut(*load_images(config, count))
    shape = (0, config.image_size, config.image_size, config.channels)
    return HeldOut(np.zeros(shape, np.uint8), np.zeros(0, np.int32))


def load_held_out_attributes(config: Config) -> np.ndarray | None:
    """Loads the attributes of the held-out images, as `load_attributes` does."""
    count = count_held_out(open_source(config).pictures()[0])
    return load_attributes(_drawing(config), count)


def find_others(images: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Returns the indices of the images that equal no held-out image.

    Pixels are compared, not positions: copies of a held-out image are found too, and
    unreadable images shift nothing.
    """
    excluded = {_hash(image) for image in held_out}
    kept = [i for i, image in enumerate(images) if _hash(image) not in excluded]
    return np.array(kept, np.int64)


def _drawing(config: Config) -> Config:
    return dataclasses.replace(config, seed=_SEED)


def _hash(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()
