import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

_CHUNK = 2000


def find_nearest(images, others, count, mirrored=False):
    """For each image, the nearest others by the distance of their pixels.

    Args:
        images: uint8 `[N, height, width, channels]`.
        others: uint8 `[M, height, width, channels]`.
        count: Positive integer, at most M.
        mirrored: Boolean, whether an other is as near as its mirror image if that is
            nearer.

    Returns:
        Places among the others, int `[N, count]`, the nearest first, and their
        distances, float64 `[N, count]`: the root mean square difference of the pixels,
        in grey levels from 0 to 255.
    """
    distances = _measure(images, others)
    if mirrored:
        distances = np.minimum(distances, _measure(images[:, :, ::-1], others))
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    nearest = np.take_along_axis(distances, places, axis=1)
    return places, nearest / np.sqrt(images[0].size)


def _measure(images, others):
    flat = _flatten(images)
    return np.concatenate(
        [
            euclidean_distances(flat, _flatten(part))
            for part in np.array_split(others, -(-len(others) // _CHUNK))
        ],
        axis=1,
    )


def _flatten(images):
    return images.reshape(len(images), -1).astype(np.float64)
