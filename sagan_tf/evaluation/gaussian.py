import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features.

    Attributes:
        count: Integer, the number of features.
        mean: float64 `[features]`.
        covariance: float64 `[features, features]`, unbiased.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


class RunningGaussian:
    """Mean and covariance, in float64, of features that come in batches.

    Batches are merged by the update of Chan, Golub and LeVeque (1979), which keeps the
    digits that sums of squares would lose. The sizes of the batches change the result
    only by rounding.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: np.ndarray | float = 0.0
        self._scatter: np.ndarray | float = 0.0  # sum of (x - mean)(x - mean)'

    def update(self, features: np.ndarray) -> None:
        """Adds a batch of features, `[batch, features]`, of at least one row."""
        features = np.asarray(features, np.float64)
        count, mean = len(features), features.mean(axis=0)
        deviations = features - mean
        difference = mean - self._mean
        total = self._count + count
        self._scatter = (
            self._scatter
            + deviations.T @ deviations
            + np.outer(difference, difference) * (self._count * count / total)
        )
        self._mean = self._mean + difference * (count / total)
        self._count = total

    def result(self) -> Gaussian:
        """Returns the `Gaussian` of all features so far, at least two."""
        mean, scatter = np.asarray(self._mean), np.asarray(self._scatter)
        return Gaussian(self._count, mean, scatter / (self._count - 1))
