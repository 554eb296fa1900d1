import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from sagan_tf.data.sources.base import Picture, Source


class Digits(Source):
    """The 1,797 handwritten digits of scikit-learn, 8x8 with a border of one."""

    description = "digits"

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        # 8x8, in 0..16, and drawn to the very edge.
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)
        images = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        pictures = (
            Picture(f"digit {i}", functools.partial(Image.fromarray, image), int(k))
            for i, (image, k) in enumerate(zip(images, digits.target, strict=True))
        )
        return len(images), pictures

    def class_names(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def fingerprint(self) -> Any:
        return "digits"
