"""What a metric lacks, told before any long work."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from sagan_tf.errors import UserError
from sagan_tf.evaluation.image_sets import ImageSet
from sagan_tf.evaluation.metrics import LEAST_OF_A_CLASS, METRICS

_MOST_IMAGES = 1_000_000  # from here on no larger number is tried


class Outline(NamedTuple):
    """What is known of an image set without its pixels.

    Attributes:
        name: What it is called.
        num_images: Integer.
        labels: Function that returns the labels if the set had a number of images,
            int `[<= number]`, or None without labels.
        flag: The flag that gives the number of images, or None.
    """

    name: str
    num_images: int
    labels: Callable[[int], np.ndarray | None]
    flag: str | None = None


def outline(image_set: ImageSet, flag: str) -> Outline:
    """Returns the outline of an image set; of a file, by reading it."""
    name, count, labels = image_set.name, image_set.num_images, image_set.labels
    if count is None or labels is None:
        loaded = image_set.load()
        return Outline(name, loaded.num_images, lambda _: loaded.labels)
    return Outline(name, count, labels, flag)


def possible_metrics(
    metrics: Sequence[str], real: Outline, fake: Outline, has_probabilities: bool
) -> tuple[str, ...]:
    """Returns the metrics that can be computed, and warns of the others.

    Args:
        metrics: Names out of `METRICS`.
        real: `Outline` of the reference.
        fake: `Outline` of the images to evaluate.
        has_probabilities: Boolean, whether the extractor has class probabilities.

    Raises:
        UserError: if no metric can be computed.
    """
    obstacles = {
        name: _find_obstacle(name, real, fake, has_probabilities) for name in metrics
    }
    possible = tuple(name for name, reason in obstacles.items() if reason is None)
    reasons = [f"{name} {reason}" for name, reason in obstacles.items() if reason]
    if not possible:
        raise UserError("; ".join(reasons))
    for reason in reasons:
        logging.warning("Not computed: %s", reason)
    return possible


def _find_obstacle(
    metric: str, real: Outline, fake: Outline, has_probabilities: bool
) -> str | None:
    needs = METRICS[metric].needs
    if needs.probabilities and not has_probabilities:
        return "needs an extractor with class probabilities, such as inception"
    for own in (real, fake):
        if own.num_images < needs.least_images:
            remedy = _remedy(own.flag, needs.least_images)
            return (
                f"needs {needs.least_images} images or more. {own.name}: "
                f"{own.num_images}{remedy}"
            )
    return _find_rare_class(real, fake) if needs.labels else None


def _find_rare_class(real: Outline, fake: Outline) -> str | None:
    labels = {own: own.labels(own.num_images) for own in (real, fake)}
    for own, own_labels in labels.items():
        if own_labels is None:
            return f"needs class labels, and {own.name} has none"
    classes = np.unique(np.concatenate(list(labels.values())))
    for own, own_labels in labels.items():
        rare = _rare_classes(own_labels, classes)
        if rare:
            numbers = ", ".join(map(str, rare[:10])) + ", ..." * (len(rare) > 10)
            remedy = _remedy(own.flag, _count_for_classes(own, classes))
            return (
                f"needs {LEAST_OF_A_CLASS} images of each class. {own.name} has fewer "
                f"of {numbers}{remedy}"
            )
    return None


def _rare_classes(labels: np.ndarray | None, classes: np.ndarray) -> list[int]:
    return [
        int(label)
        for label in classes
        if np.count_nonzero(labels == label) < LEAST_OF_A_CLASS
    ]


def _count_for_classes(own: Outline, classes: np.ndarray) -> int | None:
    """Returns a number of images that has enough of each class, or None."""
    count = own.num_images
    while count < _MOST_IMAGES:
        count *= 2
        labels = own.labels(count)
        if labels is None or not _rare_classes(labels, classes):
            return count
        if len(labels) < count:  # there are no more
            return None
    return None


def _remedy(flag: str | None, count: int | None) -> str:
    if flag is None or count is None:
        return ". Take more images"
    return f". Give {flag}={count} or more"
