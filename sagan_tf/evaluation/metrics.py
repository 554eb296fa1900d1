"""The metrics: one record each.

A new metric is a function here and a record in `METRICS`. Its arithmetic goes to
`formulas.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.errors import UserError
from sagan_tf.evaluation import formulas
from sagan_tf.evaluation.extractors import is_inception
from sagan_tf.evaluation.features import FeatureSet
from sagan_tf.evaluation.gaussian import Gaussian, RunningGaussian

# With the extractor inception.
PUBLISHED_NAMES = {
    "frechet": "fid",
    "kernel": "kid",
    "class_score": "is",
    "intra_frechet": "intra_fid",
}

_PRECISION_NEIGHBORS, _DENSITY_NEIGHBORS = 3, 5
_KERNEL_SUBSETS, _KERNEL_SUBSET_SIZE = 100, 1000
_CLASS_SCORE_SPLITS = 10
LEAST_OF_A_CLASS = 2  # a covariance needs two

Scores = tuple[dict[str, float], dict[str, Any]]


class Needs(NamedTuple):
    """What a metric needs of an image set.

    Attributes:
        probabilities: Boolean, class probabilities of generated images.
        labels: Boolean, labels, and two images of each class.
        least_images: Integer.
    """

    probabilities: bool = False
    labels: bool = False
    least_images: int = 2


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


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Returns names in `METRICS` for names that may be published ones, such as `fid`.

    Args:
        names: Names out of `METRICS` or values of `PUBLISHED_NAMES`.

    Raises:
        UserError: if there is no name, or one that is not known.
    """
    if isinstance(names, str):
        raise UserError(f"Metrics are a list, such as [{names!r}]")
    generic = {published: name for name, published in PUBLISHED_NAMES.items()}
    unknown = [repr(name) for name in names if name not in {*METRICS, *generic}]
    if unknown or not names:
        raise UserError(
            f"There is no metric {', '.join(unknown) or 'given'}. Metrics: "
            f"{', '.join(METRICS)}"
        )
    return tuple(dict.fromkeys(generic.get(name, name) for name in names))


def check_published(names: Sequence[str], extractor: str) -> None:
    """Raises `UserError` for names of published scores without Inception.

    Args:
        names: Names of metrics.
        extractor: Name of the extractor, for which see `load_extractor`.
    """
    published = [name for name in names if name in PUBLISHED_NAMES.values()]
    if published and not is_inception(extractor):
        raise UserError(
            f"{', '.join(published)}: scores have these names with the extractor "
            f"inception only. Received: --extractor={extractor}. Give "
            f"--metrics={','.join(check_metrics(names))} or --extractor=inception"
        )


def score_name(name: str, extractor: str) -> str:
    """Returns what a score is called: `frechet` is `fid`, or `frechet_classifier`.

    Args:
        name: Its name in the results of `Metric.compute`.
        extractor: The `short_name` of the extractor.
    """
    metric = name.removesuffix("_std")
    if metric not in PUBLISHED_NAMES:
        return name
    suffix = name.removeprefix(metric)
    if extractor == "inception":
        return PUBLISHED_NAMES[metric] + suffix
    return f"{metric}_{extractor}{suffix}"


def is_biased(score: str, num_images: int, num_features: int) -> bool:
    """Returns whether a score has too few images: a Fréchet distance then is too large.

    Args:
        score: Name of a score; see `score_name`.
        num_images: Integer.
        num_features: Integer, those of the extractor.
    """
    distance = score.removeprefix("intra_").partition("_")[0]
    return distance in ("frechet", "fid") and num_images <= num_features


def _frechet(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    return {"frechet": formulas.frechet_distance(real.gaussian, fake.gaussian)}, {}


def _kernel(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    size = min(_KERNEL_SUBSET_SIZE, real.gaussian.count, fake.gaussian.count)
    mean, deviation = formulas.kernel_distance(
        real.features, fake.features, _KERNEL_SUBSETS, size, seed
    )
    settings = {
        "kernel_subsets": _KERNEL_SUBSETS,
        "kernel_subset_size": size,
        "kernel_seed": seed,
    }
    return {"kernel": mean, "kernel_std": deviation}, settings


def _class_score(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    # Without shuffling, images sorted by class would give each split few classes.
    shuffled = np.random.default_rng(seed).permutation(fake.probabilities)
    mean, deviation = formulas.inception_score(shuffled, _CLASS_SCORE_SPLITS)
    settings = {"class_score_splits": _CLASS_SCORE_SPLITS, "class_score_seed": seed}
    return {"class_score": mean, "class_score_std": deviation}, settings


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


def _intra_frechet(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    classes = np.union1d(real.labels, fake.labels)
    distances = [
        formulas.frechet_distance(_of_class(real, label), _of_class(fake, label))
        for label in classes
    ]
    return {"intra_frechet": float(np.mean(distances))}, {}


def _of_class(own: FeatureSet, label: int) -> Gaussian:
    running = RunningGaussian()
    running.update(own.features[own.labels == label])
    return running.result()


METRICS = {
    "frechet": Metric(_frechet, Needs(), lower_is_better=True),
    "kernel": Metric(_kernel, Needs(), lower_is_better=True),
    "class_score": Metric(
        _class_score, Needs(probabilities=True, least_images=_CLASS_SCORE_SPLITS)
    ),
    "precision_recall": Metric(
        _precision_recall, Needs(least_images=_PRECISION_NEIGHBORS + 1)
    ),
    "density_coverage": Metric(
        _density_coverage, Needs(least_images=_DENSITY_NEIGHBORS + 1)
    ),
    "intra_frechet": Metric(_intra_frechet, Needs(labels=True), lower_is_better=True),
}
