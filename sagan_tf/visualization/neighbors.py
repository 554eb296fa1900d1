"""Samples with their nearest training images."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sagan_tf.data import load_images
from sagan_tf.errors import UserError
from sagan_tf.visualization.image_grid import save_image_grid

if TYPE_CHECKING:
    from sagan_tf.run import Run

_CHUNK = 2000
_COMPARED = 200  # samples, and training images, whose distances are reported


class NeighborDistances(NamedTuple):
    """Distances to the nearest training image: of samples, and of training images.

    A distance is the root mean square difference of the pixels, from 0 to 255.

    Attributes:
        path: The file that was written.
        sample_distance: Float, the median of 200 samples.
        real_distance: Float, the median of 200 training images to another one.
        smallest_sample_distance: Float, the smallest of these samples: the median does
            not show a few copies.
        smallest_real_distance: Float, the smallest of these training images.
        num_duplicates: Integer, how many of these training images are there more than
            once. Their distance is that to the nearest image that differs.
    """

    path: Path
    sample_distance: float
    real_distance: float
    smallest_sample_distance: float
    smallest_real_distance: float
    num_duplicates: int


def write_neighbors(
    run: "Run",
    output: str | Path | None = None,
    num_images: int = 8,
    neighbors: int = 7,
    seed: int = 0,
) -> NeighborDistances:
    """Writes samples, each in a row with its nearest training images.

    If the run flips images randomly, mirrored training images count too.

    Args:
        run: `Run`.
        output: PNG file to write. The default is in `samples/`, named by step and seed.
        num_images: Positive integer, the number of samples.
        neighbors: Positive integer, training images beside each sample.
        seed: Integer, the random seed of the latents.

    Raises:
        UserError: if the output is not a PNG file, if the training images are missing,
            or if there are too few of them.
    """
    path = Path(
        output or run.unused_output(f"samples/neighbors_step{{step}}_seed{seed}.png")
    )
    if path.suffix != ".png":
        raise UserError(f"--output takes FILE.png. Received: {output}")
    real, _ = load_images(run.config)
    if neighbors >= len(real):
        raise UserError(
            f"--neighbors={neighbors} must be below the number of training images, "
            f"{len(real)}"
        )
    samples = run.generate(max(num_images, _COMPARED), seed)
    flipped = run.config.horizontal_flip
    indices, distances = find_nearest(samples, real, neighbors, flipped)
    white = np.full_like(samples[:1], 255)
    rows = [
        np.concatenate([sample[None], white, real[own]])
        for sample, own in zip(samples[:num_images], indices, strict=False)
    ]
    save_image_grid(np.concatenate(rows), path, columns=neighbors + 2)

    compared = min(_COMPARED, len(real))
    chosen = np.random.default_rng(0).choice(len(real), compared, replace=False)
    real_distances = _measure(real[chosen], real, flipped)
    # Each image is also among the others. With duplicates the smallest distance would
    # be 0 as well.
    differs = real_distances > 0
    num_duplicates = int((np.sum(~differs, axis=1) > 1).sum())
    real_nearest = real_distances.min(axis=1, where=differs, initial=np.inf)
    real_nearest[~differs.any(axis=1)] = 0
    nearest = distances[:, 0]
    return NeighborDistances(
        path,
        float(np.median(nearest)),
        float(np.median(real_nearest)),
        float(nearest.min()),
        float(real_nearest.min()),
        num_duplicates,
    )


def find_nearest(
    images: np.ndarray, others: np.ndarray, count: int, flipped: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest others of each image by the distance of their pixels.

    Args:
        images: uint8 `[N, height, width, channels]`.
        others: uint8 `[M, height, width, channels]`.
        count: Positive integer, at most M.
        flipped: Boolean, whether the distance to an other is the smaller one of the
            distances to it and to its mirror image.

    Returns:
        Indices of the others, int `[N, count]`, the nearest first, and their distances,
        float64 `[N, count]`: the root mean square difference of the pixels, from 0 to
        255.
    """
    distances = _measure(images, others, flipped)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return indices, np.take_along_axis(distances, indices, axis=1)


def _measure(images: np.ndarray, others: np.ndarray, flipped: bool) -> np.ndarray:
    """Returns all distances, float64 `[N, M]`; see `find_nearest`."""
    distances = _measure_unflipped(images, others)
    if flipped:
        mirrored = _measure_unflipped(images[:, :, ::-1], others)
        distances = np.minimum(distances, mirrored)
    return distances / np.sqrt(images[0].size)


def _measure_unflipped(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    from sklearn.metrics.pairwise import euclidean_distances  # slow to import

    flat = _flatten(images)
    return np.concatenate(
        [
            euclidean_distances(flat, _flatten(part))
            for part in np.array_split(others, -(-len(others) // _CHUNK))
        ],
        axis=1,
    )


def _flatten(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)
