from typing import NamedTuple

import numpy as np


class Gaussian(NamedTuple):
    """The moments of a set of features.

    Attributes:
        count: Integer, how many features.
        mean: float64 `[features]`.
        covariance: float64 `[features, features]`, the unbiased one.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


class RunningGaussian:
    """Mean and covariance of features that come in batches, in float64.

    Batches are merged by the update of Chan, Golub and LeVeque (1979), which keeps its
    digits where sums of squares would lose them; what comes out is the same, but for
    rounding, whatever the sizes of the batches.
    """

    def __init__(self):
        self._count = 0
        self._mean = 0.0
        self._scatter = 0.0  # sum of (x - mean)(x - mean)'

    def update(self, features):
        """Takes in a batch of features, `[batch, features]`, of at least one row."""
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

    def result(self):
        """The `Gaussian` of what was taken in, at least two features."""
        return Gaussian(self._count, self._mean, self._scatter / (self._count - 1))
