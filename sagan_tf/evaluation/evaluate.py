"""Scores of image sets against a reference, with their protocol."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from sagan_tf.errors import UserError
from sagan_tf.evaluation.checks import Outline, possible_metrics
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.features import FeatureComputer, FeatureSet
from sagan_tf.evaluation.image_sets import ImageSet
from sagan_tf.evaluation.metrics import (
    METRICS,
    Scores,
    check_metrics,
    check_published,
    is_biased,
    score_name,
)


class Evaluator:
    """Computes metrics of image sets against one reference.

    Args:
        extractor: `Extractor`.
        real: `ImageSet`, the reference. Its features are cached.
        metrics: Names out of `METRICS`.
        seed: Integer, the random seed of the subsets and splits of metrics.
        show_progress: Boolean, whether to show progress bars.

    Attributes:
        extractor: `Extractor`.
        metrics: Names out of `METRICS`.
        real: `FeatureSet` of the reference.
        seed: Integer.

    Raises:
        UserError: if there is no such metric, or not with this extractor.
    """

    def __init__(
        self,
        extractor: Extractor,
        real: ImageSet,
        metrics: Sequence[str] = ("frechet",),
        seed: int = 0,
        show_progress: bool = True,
    ):
        self.extractor = extractor
        self.metrics = check_metrics(metrics)
        check_published(metrics, extractor.short_name)
        self.seed = seed
        self._show_progress = show_progress
        self._computer = FeatureComputer(extractor, show_progress)
        self._real_name = real.name
        self.real = self._computer.compute_once(real)
        self._warned_of_bias: set[int] = set()

    def score(self, fake: ImageSet) -> tuple[dict[str, float], dict[str, Any]]:
        """Computes the metrics of an image set.

        A metric that cannot be computed is left out with a warning.

        Args:
            fake: `ImageSet`.

        Returns:
            A dict of scores, and the protocol, a dict of everything they depend on.

        Raises:
            UserError: if no metric can be computed, or if both sets are the same.
        """
        features, computed = self.compute(fake, self.metrics)
        scores: dict[str, float] = {}
        protocol = self._describe(fake.name, features)
        for own_scores, settings in computed.values():
            scores |= own_scores
            protocol |= settings
        return scores, protocol

    def compute(
        self, fake: ImageSet, metrics: Sequence[str]
    ) -> tuple[FeatureSet, dict[str, Scores]]:
        """Computes metrics of an image set, each on its own; see `score`.

        Args:
            fake: `ImageSet`.
            metrics: Names out of `METRICS`.

        Returns:
            The features of the set, and a dict from metrics to their scores, under
            the names that the extractor gives them, and settings.
        """
        loaded = fake.load()
        # Before the minutes that computing features takes.
        outlines = (
            Outline(
                self._real_name, self.real.gaussian.count, lambda _: self.real.labels
            ),
            Outline(fake.name, loaded.num_images, lambda _: loaded.labels),
        )
        possible = possible_metrics(
            metrics, *outlines, self.extractor.has_probabilities
        )
        self._warn_of_bias(possible, outlines)
        features = self._computer.compute(fake.name, loaded)
        if features.digest == self.real.digest:
            raise UserError(
                f"{fake.name} and {self._real_name} are the same images: every score "
                "would be perfect"
            )
        computed = {}
        for name in tqdm(
            possible,
            desc="Metrics",
            unit="",
            leave=False,
            disable=None if self._show_progress else True,
        ):
            try:
                computed[name] = self._compute_one(name, features)
            # Features that are NaN, or eigenvalues that do not converge.
            except (ValueError, np.linalg.LinAlgError) as error:
                logging.warning("Not computed: %s of %s (%s)", name, fake.name, error)
        if not computed:
            raise UserError(f"No metric of {fake.name} could be computed")
        return features, computed

    def _compute_one(self, name: str, fake: FeatureSet) -> Scores:
        computed, settings = METRICS[name].compute(self.real, fake, self.seed)
        scores = {}
        for own_name, score in computed.items():
            if not np.isfinite(score):
                raise ValueError(f"{own_name} is {score}")
            scores[score_name(own_name, self.extractor.short_name)] = score
        return scores, settings

    def _describe(self, fake_name: str, fake: FeatureSet) -> dict[str, Any]:
        return {
            "extractor": self.extractor.name,
            "extractor_sha256": self.extractor.digest,
            "resizer": self.extractor.resizer,
            "fake": fake_name,
            "fake_sha256": fake.digest[:16],
            "num_features": len(fake.gaussian.mean),
            "num_fake": fake.gaussian.count,
            "real": self._real_name,
            "real_sha256": self.real.digest[:16],
            "num_real": self.real.gaussian.count,
        }

    def _warn_of_bias(
        self, metrics: Sequence[str], outlines: Sequence[Outline]
    ) -> None:
        """Warns, once for each number of images, of fewer images than features."""
        size = len(self.real.gaussian.mean)
        for own in outlines:
            counts = {"frechet": own.num_images}
            labels = own.labels(own.num_images)
            if "intra_frechet" in metrics and labels is not None:
                counts["intra_frechet"] = np.bincount(labels)[labels].min()
            for metric, count in counts.items():
                if metric not in metrics or not is_biased(metric, count, size):
                    continue
                if count in self._warned_of_bias:
                    continue
                self._warned_of_bias.add(count)
                logging.warning(
                    "%s of %s is biased upwards: %d images%s are too few for the %d "
                    "features of the extractor. Compare it with scores of as many "
                    "images, or give more than %d",
                    *(score_name(metric, self.extractor.short_name), own.name, count),
                    *(" of a class" * (metric != "frechet"), size, size),
                )


def evaluate(
    extractor: Extractor,
    real: ImageSet,
    fake: ImageSet,
    metrics: Sequence[str] = ("frechet",),
    seed: int = 0,
    show_progress: bool = True,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Computes metrics of one image set against another; see `Evaluator.score`.

    Args:
        extractor: `Extractor`.
        real: `ImageSet`, the reference. Its features are cached.
        fake: `ImageSet`.
        metrics: Names out of `METRICS`.
        seed: Integer, the random seed of the subsets and splits of metrics.
        show_progress: Boolean, whether to show a progress bar.
    """
    return Evaluator(extractor, real, metrics, seed, show_progress).score(fake)
