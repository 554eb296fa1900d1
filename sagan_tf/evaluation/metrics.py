"""The figures, as functions of features or of class probabilities."""

import numpy as np
from scipy import linalg
from sklearn.metrics import pairwise_distances_chunked


def frechet_distance(real, fake):
    """Fréchet distance between two sets of features taken as Gaussian.

    `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, the FID of
    [Heusel et al., 2017](https://arxiv.org/abs/1706.08500) in Inception's features.

    Args:
        real: `Gaussian`.
        fake: `Gaussian`.

    Returns:
        Float, 0 for equal means and covariances, but for rounding.
    """
    difference = real.mean - fake.mean
    # The trace of the root needs eigenvalues alone, those of C1^(1/2) C2 C1^(1/2):
    # that matrix is symmetric, so they are real, and singular covariances do no harm.
    root = _symmetric_root(real.covariance)
    eigenvalues = linalg.eigvalsh(root @ fake.covariance @ root)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    return float(
        difference @ difference
        + np.trace(real.covariance)
        + np.trace(fake.covariance)
        - 2 * trace_of_root
    )


def kernel_distance(real, fake, subsets=100, subset_size=1000, seed=0):
    """Kernel distance: the KID of [Bińkowski et al., 2018](https://arxiv.org/abs/1801.01401).

    The unbiased estimate of the squared maximum mean discrepancy under the kernel
    `(x.y / features + 1)^3`, as the mean over random subsets.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        subsets: Positive integer.
        subset_size: Integer from 2, at most N and M.
        seed: Integer, of the choice of subsets.

    Returns:
        Mean and standard deviation over the subsets, two floats.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    random = np.random.default_rng(seed)

    def subset(features):
        return features[random.choice(len(features), subset_size, replace=False)]

    estimates = [
        _squared_discrepancy(subset(real), subset(fake)) for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates))


def inception_score(probabilities, splits=10):
    """Inception score: `exp(E[KL(p(y|x) || p(y))])`, high for sharp, varied images.

    Args:
        probabilities: Class probabilities `[N, classes]`.
        splits: Positive integer, parts in whose order the images come that have a
            score each.

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


def precision_recall(real, fake, neighbors=3):
    """Precision: the share of fakes within the reals' manifold; recall: the reverse.

    A set's manifold is the union of open balls around its features, each of which
    reaches to its `neighbors`-th nearest of the same set.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        neighbors: Positive integer below N and M.

    Returns:
        Two floats in [0, 1].

    Reference:
        [Kynkäänniemi et al., 2019](https://arxiv.org/abs/1904.06991)
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    precision = _count_balls(fake, real, _ball_radii(real, neighbors)) > 0
    recall = _count_balls(real, fake, _ball_radii(fake, neighbors)) > 0
    return float(precision.mean()), float(recall.mean())


def density_coverage(real, fake, neighbors=5):
    """Density: in how many reals' balls a fake is; coverage: the share of reals'
    balls that have a fake in them.

    Args:
        real: Features `[N, features]`.
        fake: Features `[M, features]`.
        neighbors: Positive integer below N.

    Returns:
        Density, a float that is 1 for a perfect match and can be above, and coverage,
        in [0, 1].

    Reference:
        [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    radii = _ball_radii(real, neighbors)
    density = _count_balls(fake, real, radii).mean() / neighbors
    coverage = (_distances(real, fake, lambda chunk: chunk.min(axis=1)) < radii).mean()
    return float(density), float(coverage)


def _symmetric_root(matrix):
    eigenvalues, vectors = linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T


def _squared_discrepancy(x, y):
    def kernel(a, b):
        base = a @ b.T / a.shape[1] + 1
        return base * base * base  # six times as fast as ** 3

    def mean_off_diagonal(matrix):
        n = len(matrix)
        return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))

    return (
        mean_off_diagonal(kernel(x, x))
        + mean_off_diagonal(kernel(y, y))
        - 2 * kernel(x, y).mean()
    )


def _count_balls(points, centers, radii):
    """In how many of the centers' balls, of squared radii, each point is."""
    return _distances(points, centers, lambda chunk: (chunk < radii).sum(axis=1))


def _ball_radii(features, neighbors):
    """Each feature's squared distance to its k-th nearest, itself not counted."""
    return _distances(
        features,
        features,
        lambda chunk: np.partition(chunk, neighbors, axis=1)[:, neighbors],
    )


def _distances(x, y, reduce):
    """What `reduce` makes of squared distances, `[rows, len(y)]` at a time.

    Radii and what is compared with them both come from here: rounded in another way,
    a point on the rim of a ball would fall into it.
    """
    chunks = pairwise_distances_chunked(
        x, y, reduce_func=lambda chunk, _: reduce(chunk), squared=True
    )
    return np.concatenate(list(chunks))
