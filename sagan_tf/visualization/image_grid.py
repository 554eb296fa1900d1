import math

import numpy as np
from PIL import Image


def save_image_grid(images, path, columns=None):
    """Writes images side by side, in reading order, as one PNG or JPEG.

    Args:
        images: uint8 array `[N, height, width, channels]` with 1, 3 or 4 channels.
        path: File to write; its folder is made.
        columns: Positive integer; by default the grid is as square as can be.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    grid = grid.reshape(rows * height, columns * width, channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(path)
