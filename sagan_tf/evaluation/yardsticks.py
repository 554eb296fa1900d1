"""What held-out real images and noise score: the scale to read scores by."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from sagan_tf import files
from sagan_tf.cache import cache_dir, digest, warn_damaged
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation.classifier import LEAST_SKILL, compute_skill
from sagan_tf.evaluation.evaluate import Evaluator
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.image_sets import ImageSet, uniform_noise
from sagan_tf.evaluation.metrics import score_name

_VERSION = 2  # of the metrics: changed formulas give other scores
# The metric that tells whether an extractor can judge its data. Few held-out images
# bias the Fréchet distance upwards, but not the kernel distance.
_CHECK_METRIC = "kernel"
# Noise must score so many times worse than held-out real images.
_LEAST_RATIO = 10


class Yardstick(NamedTuple):
    """Scores of images whose quality is known.

    Attributes:
        images: What they are.
        num_images: Integer.
        scores: Dict of floats.
    """

    images: str
    num_images: int
    scores: dict[str, float]


Yardsticks = dict[str, Yardstick]


def measure_yardsticks(
    evaluator: Evaluator, held_out: ImageSet, config: Config, num_images: int
) -> Yardsticks:
    """Returns the scores of held-out real images and of noise; they are cached.

    Args:
        evaluator: `Evaluator`.
        held_out: `ImageSet` with a fingerprint.
        config: The run's `Config`.
        num_images: Positive integer, the number of noise images.

    Returns:
        Dict of `Yardstick`s, `held_out` and `noise`. They also hold the kernel
        distance, which checks the extractor. What cannot be computed is missing.
    """
    labels = evaluator.real.labels
    classes = None if labels is None else np.unique(labels)
    noise = uniform_noise(config, num_images, classes)
    return {
        "held_out": _measure(evaluator, held_out),
        "noise": _measure(evaluator, noise),
    }


def check_extractor(extractor: Extractor, yardsticks: Yardsticks, force: bool) -> None:
    """Raises `UserError`, or warns with `force`, if an extractor cannot judge its data.

    Args:
        extractor: `Extractor`.
        yardsticks: Dict, as returned by `measure_yardsticks`.
        force: Boolean.
    """
    fault = find_fault(extractor, yardsticks)
    if fault is None:
        return
    if not force:
        raise UserError(
            f"{fault}. Give another extractor (--extractor=inception, or the path of "
            "a model), train on more images, or compute the scores all the same with "
            "--force"
        )
    logging.warning(
        "%s. The scores that follow do not tell good images from bad", fault
    )


def find_fault(extractor: Extractor, yardsticks: Yardsticks) -> str | None:
    """Returns why an extractor cannot judge the images of its data, or None.

    Args:
        extractor: `Extractor`.
        yardsticks: Dict, as returned by `measure_yardsticks`.
    """
    faults: list[str] = []
    accuracy, chance = extractor.accuracy, extractor.chance
    if accuracy is not None and chance is not None:
        if compute_skill(accuracy, chance) < LEAST_SKILL:
            faults.append(
                f"its held-out accuracy is {accuracy:.1%}, near chance ({chance:.1%})"
            )
    name = score_name(_CHECK_METRIC, extractor.short_name)
    real, noise = (
        yardsticks[kind].scores.get(name, math.nan) for kind in ("held_out", "noise")
    )
    # The distance of held-out images may be negative: it is an unbiased estimate, and
    # its size is then its error. False also if a score is missing.
    if not (noise > 0 and noise >= _LEAST_RATIO * abs(real)):
        faults.append(
            f"its {name} is {noise:.4g} for noise and {real:.4g} for held-out real "
            f"images, which must be {_LEAST_RATIO} times lower"
        )
    if not faults:
        return None
    return f"The extractor cannot judge this data: {', and '.join(faults)}"


def _measure(evaluator: Evaluator, image_set: ImageSet) -> Yardstick:
    metrics = dict.fromkeys((*evaluator.metrics, _CHECK_METRIC))
    paths = {name: _cache_path(evaluator, image_set, name) for name in metrics}
    cached = {name: _read(path) for name, path in paths.items()}
    missing = [name for name, yardstick in cached.items() if yardstick is None]
    if missing:
        computed = _compute(evaluator, image_set, missing)
        for name, yardstick in computed.items():
            files.write_text(paths[name], json.dumps(yardstick._asdict()) + "\n")
        cached |= computed
    found = [yardstick for yardstick in cached.values() if yardstick is not None]
    scores = {k: v for yardstick in found for k, v in yardstick.scores.items()}
    count = max((yardstick.num_images for yardstick in found), default=0)
    return Yardstick(image_set.name, count, scores)


def _compute(
    evaluator: Evaluator, image_set: ImageSet, metrics: Sequence[str]
) -> dict[str, Yardstick]:
    """Returns a yardstick for each metric; one that cannot be computed has no score.

    Without images there is none.
    """
    try:
        features, computed = evaluator.compute(image_set, metrics)
    except UserError as error:  # maybe for now only: it is not cached
        logging.warning("Not computed: %s", error)
        return {}
    unknown = {name: Yardstick(image_set.name, 0, {}) for name in metrics}
    count = features.gaussian.count
    return unknown | {
        name: Yardstick(image_set.name, count, scores)
        for name, (scores, _) in computed.items()
    }


def _cache_path(evaluator: Evaluator, image_set: ImageSet, metric: str) -> Path:
    real, extractor = evaluator.real, evaluator.extractor
    labels = None if real.labels is None else real.labels.tolist()
    key = digest(
        [_VERSION, metric, evaluator.seed, image_set.fingerprint, real.digest, labels]
        + [extractor.short_name, extractor.digest, extractor.resizer]
    )
    return cache_dir() / "yardsticks" / f"{key}.json"


def _read(path: Path) -> Yardstick | None:
    """Returns a cached yardstick, or None if there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        yardstick = Yardstick(**files.read_json(path))
        _check(yardstick)
    except (UserError, TypeError, ValueError) as error:
        warn_damaged(path, error)
        return None
    return yardstick


def _check(yardstick: Yardstick) -> None:
    images, count, scores = yardstick
    if (
        not isinstance(images, str)
        or type(count) is not int
        or not isinstance(scores, dict)
        or not all(type(score) is float for score in scores.values())
    ):
        raise ValueError(f"it holds {yardstick}")
