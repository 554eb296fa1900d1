import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

_CHUNK = 2000


def find_nearest(images, others, count):
    """For each image, the nearest others by the distance of their pixels.

    Args:
        images: uint8 `[N, ...]`.
        others: uint8 `[M, ...]` of images of the same shape.
        count: Positive integer, at most M.

    Returns:
        Places among the others, int `[N, count]`, the nearest first, and their
        distances, float64 `[N, count]`: the root mean square difference of the pixels,
        in grey levels from 0 to 255.
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    distances = np.concatenate(
        [
            euclidean_distances(flat, part.reshape(len(part), -1).astype(np.float64))
            for part in np.array_split(others, -(-len(others) // _CHUNK))
        ],
        axis=1,
    )
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    nearest = np.take_along_axis(distances, places, axis=1)
    return places, nearest / np.sqrt(flat.shape[1])
