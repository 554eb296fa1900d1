import math

import numpy as np
from PIL import Image


def make_image_grid(images, columns=None):
    """Images side by side, in reading order, as one.

    Args:
        images: uint8 array `[N, height, width, channels]`.
        columns: Positive integer; by default the grid is as square as can be.

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


def save_image_grid(images, path, columns=None):
    """Writes images side by side, in reading order, as one PNG or JPEG.

    Args:
        images: uint8 array `[N, height, width, channels]` with 1, 3 or 4 channels.
        path: File to write; its folder is made.
        columns: Positive integer; by default the grid is as square as can be.
    """
    grid = make_image_grid(images, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(path)


def arrange_classes(num_images, num_classes):
    """The labels of a grid with one class a row, the first classes if they are many.

    Args:
        num_images: Positive integer, how many images there should be at most.
        num_classes: Integer, 0 for none.

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
