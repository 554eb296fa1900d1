import math
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf.files import replacing


def make_image_grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Returns images side by side, in reading order, as one image.

    Args:
        images: uint8 array `[N, height, width, channels]`.
        columns: Positive integer. By default the grid is as square as possible.

    Returns:
        uint8 array `[rows * height, columns * width, channels]`.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def save_image_grid(images: np.ndarray, path: Path, columns: int | None = None) -> None:
    """Writes images side by side, in reading order, as one PNG or JPEG.

    Args:
        images: uint8 array `[N, height, width, channels]` with 1, 3 or 4 channels.
        path: File to write; its folder is created.
        columns: Positive integer. By default the grid is as square as possible.
    """
    with replacing(path) as partial:
        to_picture(make_image_grid(images, columns)).save(partial)


def arrange_classes(
    num_images: int, num_classes: int
) -> tuple[np.ndarray | None, int | None]:
    """Arranges a grid with one row per class; with many classes, the first ones.

    Args:
        num_images: Positive integer, the largest number of images.
        num_classes: Integer, 0 without classes.

    Returns:
        Labels, int array of `rows * columns`, and the number of columns; None and None
        without classes.
    """
    if not num_classes:
        return None, None
    # As near to a square as the classes allow.
    rows = min(num_classes, num_images, math.isqrt(num_images) + 2)
    columns = max(1, num_images // rows)
    return np.repeat(np.arange(rows), columns), columns


def to_picture(image: np.ndarray) -> Image.Image:
    """Converts uint8 `[height, width, channels]` to a `PIL.Image.Image`."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
