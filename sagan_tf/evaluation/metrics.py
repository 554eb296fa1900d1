"""The metrics: one record each.

A new metric is a function here and a record in `METRICS`. Its arithmetic goes to
`formulas.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.errors import UserError
from sagan_tf.evaluation import formulas
from sagan_tf.evaluation.features import FeatureSet, Needs
from sagan_tf.evaluation.gaussian import RunningGaussian

_PRECISION_NEIGHBORS, _DENSITY_NEIGHBORS = 3, 5
_KID_SUBSETS, _KID_SUBSET_SIZE = 100, 1000
_IS_SPLITS = 10

Scores = tuple[dict[str, float], dict[str, Any]]


class Metric(NamedTuple):
    """A metric.

    Attributes:
        compute: Function of the real and the generated images' `FeatureSet` and a seed.
            It returns the scores, and what they depend on for the protocol.
        needs: `Needs`, what the two sets must have.
        lower_is_better: Boolean.
    """

    compute: Callable[[FeatureSet, FeatureSet, int], Scores]
    needs: Needs
    lower_is_better: bool = False


def check_metrics(names: Sequence[str]) -> None:
    """Raises `UserError` if a name is not one of `METRICS`, or there is none."""
    if isinstance(names, str):
        raise UserError(f"Metrics are a list, such as [{names!r}]")
    unknown = [repr(name) for name in names if name not in METRICS]
    if unknown or not names:
        raise UserError(
            f"There is no metric {', '.join(unknown) or 'given'}. Metrics: "
            f"{', '.join(METRICS)}"
        )


def _fid(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    return {"fid": formulas.frechet_distance(real.gaussian, fake.gaussian)}, {}


def _kid(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    size = min(_KID_SUBSET_SIZE, real.gaussian.count, fake.gaussian.count)
    mean, deviation = formulas.kernel_distance(
        real.features, fake.features, _KID_SUBSETS, size, seed
    )
    settings = {"kid_subsets": _KID_SUBSETS, "kid_subset_size": size, "kid_seed": seed}
    return {"kid": mean, "kid_std": deviation}, settings


def _inception_score(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    # Without shuffling, images sorted by class would give each split few classes.
    shuffled = np.random.default_rng(seed).permutation(fake.probabilities)
    mean, deviation = formulas.inception_score(shuffled, _IS_SPLITS)
    settings = {"is_splits": _IS_SPLITS, "is_seed": seed}
    return {"is": mean, "is_std": deviation}, settings


def _precision_recall(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    precision, recall = formulas.precision_recall(
        real.features, fake.features, _PRECISION_NEIGHBORS
    )
    settings = {"precision_recall_neighbors": _PRECISION_NEIGHBORS}
    return {"precision": precision, "recall": recall}, settings


def _density_coverage(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    density, coverage = formulas.density_coverage(
        real.features, fake.features, _DENSITY_NEIGHBORS
    )
    settings = {"density_coverage_neighbors": _DENSITY_NEIGHBORS}
    return {"density": density, "coverage": coverage}, settings


def _intra_fid(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    distances = []
    for label in np.unique(real.labels):
        pair = []
        for own in (real, fake):
            features = own.features[own.labels == label]
            if len(features) < 2:
                raise UserError(
                    "intra_fid needs images of every class, but class "
                    f"{label} has {len(features)}. Take more images"
                )
            running = RunningGaussian()
            running.update(features)
            pair.append(running.result())
        distances.append(formulas.frechet_distance(*pair))
    return {"intra_fid": float(np.mean(distances))}, {}


METRICS = {
    "fid": Metric(_fid, Needs(covariance=True), lower_is_better=True),
    "kid": Metric(_kid, Needs(features=True), lower_is_better=True),
    "is": Metric(_inception_score, Needs(probabilities=True, least_images=_IS_SPLITS)),
    "precision_recall": Metric(
        _precision_recall, Needs(features=True, least_images=_PRECISION_NEIGHBORS + 1)
    ),
    "density_coverage": Metric(
        _density_coverage, Needs(features=True, least_images=_DENSITY_NEIGHBORS + 1)
    ),
    "intra_fid": Metric(
        _intra_fid, Needs(features=True, class_covariances=True), lower_is_better=True
    ),
}
