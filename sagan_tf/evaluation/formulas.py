"""The formulas of the metrics: functions of features or of class probabilities."""

from collections.abc import Callable

import numpy as np
from scipy import linalg
from sklearn.metrics import pairwise_distances_chunked

from sagan_tf.evaluation.gaussian import Gaussian

_CHUNK_MIB = 64  # of distances at a time


def frechet_distance(real: Gaussian, fake: Gaussian) -> float:
    """Fréchet distance between two sets of features, taken as normal distributions.

    `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, the FID of
    [Heusel et al., 2017](https://arxiv.org/abs/1706.08500) with Inception's features.

    Args:
        real: `Gaussian`.
        fake: `Gaussian`.

    Returns:
        Float, 0 up to rounding for equal means and covariances.
    """
    difference = real.mean - fake.mean
    # The trace of the root needs only the eigenvalues, which C1^(1/2) C2 C1^(1/2)
    # shares. That matrix is symmetric, so they are real, and covariances may be
    # singular.
    root = _symmetric_root(real.covariance)
    eigenvalues = linalg.eigvalsh(root @ fake.covariance @ root)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    return float(
        difference @ difference
        + np.trace(real.covariance)
        + np.trace(fake.covariance)
        - 2 * trace_of_root
    )


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Kernel distance: the KID of [Bińkowski et al., 2018](https://arxiv.org/abs/1801.01401).

    The unbiased estimate of the squared maximum mean discrepancy under the kernel
    `(x.y / features + 1)^3`, averaged over random subsets.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        subsets: Positive integer.
        subset_size: Integer, at least 2, at most N and M.
        seed: Integer, the random seed of the subsets.

    Returns:
        Mean and standard deviation over the subsets, two floats.
    """
    random = np.random.default_rng(seed)

    def subset(features: np.ndarray) -> np.ndarray:
        chosen = random.choice(len(features), subset_size, replace=False)
        return features[chosen].astype(np.float64)

    estimates = [
        _squared_discrepancy(subset(real), subset(fake)) for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates))


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Inception score: `exp(E[KL(p(y|x) || p(y))])`, high for sharp, diverse images.

    Args:
        probabilities: Class probabilities `[N, classes]`.
        splits: Positive integer. Each of so many consecutive parts has its own score.

    Returns:
        Mean and standard deviation over the splits, two floats.

    Reference:
        [Salimans et al., 2016](https://arxiv.org/abs/1606.03498)
    """
    scores = []
    for part in np.array_split(np.asarray(probabilities, np.float64), splits):
        marginal = part.mean(axis=0)
        # 0 log 0 is 0.
        logs = np.log(np.where(part > 0, part, 1)) - np.log(
            np.where(marginal > 0, marginal, 1)
        )
        scores.append(np.exp((part * logs).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def precision_recall(
    real: np.ndarray, fake: np.ndarray, neighbors: int = 3
) -> tuple[float, float]:
    """Precision: the fraction of fakes in the real manifold. Recall: the reverse.

    The manifold of a set is the union of open balls around its features. The radius of
    a ball is the distance to its `neighbors`-th nearest neighbor in the same set.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        neighbors: Positive integer below N and M.

    Returns:
        Two floats in [0, 1].

    Reference:
        [Kynkäänniemi et al., 2019](https://arxiv.org/abs/1904.06991)
    """
    precision = _count_balls(fake, real, _ball_radii(real, neighbors)) > 0
    recall = _count_balls(real, fake, _ball_radii(fake, neighbors)) > 0
    return float(precision.mean()), float(recall.mean())


def density_coverage(
    real: np.ndarray, fake: np.ndarray, neighbors: int = 5
) -> tuple[float, float]:
    """Density and coverage, from the balls of the reals; see `precision_recall`.

    Density is the mean number of balls that a fake is in, divided by `neighbors`.
    Coverage is the fraction of balls with a fake in them.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        neighbors: Positive integer below N.

    Returns:
        Density, a float, 1 for equal distributions and possibly above 1; and coverage,
        a float in [0, 1].

    Reference:
        [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """
    radii = _ball_radii(real, neighbors)
    density = _count_balls(fake, real, radii).mean() / neighbors
    coverage = (_distances(real, fake, lambda chunk: chunk.min(axis=1)) < radii).mean()
    return float(density), float(coverage)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    eigenvalues, vectors = linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        base = a @ b.T / a.shape[1] + 1
        return base * base * base  # six times as fast as ** 3

    def mean_off_diagonal(matrix: np.ndarray) -> float:
        n = len(matrix)
        return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))

    return (
        mean_off_diagonal(kernel(x, x))
        + mean_off_diagonal(kernel(y, y))
        - 2 * kernel(x, y).mean()
    )


def _count_balls(
    points: np.ndarray, centers: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Counts, for each point, the balls of squared radii around centers it is in."""
    return _distances(points, centers, lambda chunk: (chunk < radii).sum(axis=1))


def _ball_radii(features: np.ndarray, neighbors: int) -> np.ndarray:
    """Returns squared distances to the k-th nearest neighbor, itself not counted."""
    return _distances(
        features,
        features,
        _at_rank(neighbors),
    )


def _at_rank(rank: int) -> Callable:
    def reduce(chunk: np.ndarray) -> np.ndarray:
        chunk.partition(rank, axis=1)  # in place: a copy would double the memory
        # A copy: a view would keep the whole chunk in memory.
        return chunk[:, rank].copy()

    return reduce


def _distances(x: np.ndarray, y: np.ndarray, reduce: Callable) -> np.ndarray:
    """Applies `reduce` to squared distances, in chunks `[rows, len(y)]`.

    Radii and the distances compared with them both come from here. Rounded in another
    way, a point on the edge of a ball could fall into it. Of float32 features,
    distances are computed in float64, block by block, and returned in float32.
    """
    chunks = pairwise_distances_chunked(
        x,
        y,
        reduce_func=lambda chunk, _: reduce(chunk),
        squared=True,
        working_memory=_CHUNK_MIB,
    )
    return np.concatenate(list(chunks))
