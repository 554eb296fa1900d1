"""Scores of one image set against another, with their protocol."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sagan_tf.errors import UserError
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.features import FeatureComputer
from sagan_tf.evaluation.image_sets import ImageSet
from sagan_tf.evaluation.metrics import METRICS, check_metrics


def evaluate(
    extractor: Extractor,
    real: ImageSet,
    fake: ImageSet,
    metrics: Sequence[str] = ("fid",),
    seed: int = 0,
    show_progress: bool = True,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Computes metrics of one image set against another.

    Args:
        extractor: `Extractor`.
        real: `ImageSet`, the reference. Its features are cached.
        fake: `ImageSet`.
        metrics: Names out of `METRICS`.
        seed: Integer, the random seed of KID's subsets and of IS's splits.
        show_progress: Boolean, whether to show a progress bar.

    Returns:
        A dict of scores, and the protocol, a dict of everything they depend on.

    Raises:
        UserError: if there is no such metric, if it needs more images, labels or class
            probabilities than there are, or if both sets are the same.
    """
    check_metrics(metrics)
    needs = {name: METRICS[name].needs for name in metrics}
    for name in metrics:
        if needs[name].probabilities and not extractor.has_probabilities:
            raise UserError(
                f"{name} needs an extractor with class probabilities. "
                f"Received: {extractor.name}"
            )
    computer = FeatureComputer(extractor, needs, show_progress)
    # Most mistakes show here, before the minutes that computing features takes.
    loaded = computer.load(fake)
    real_features = computer.compute_once(real)
    fake_features = computer.compute(fake.name, loaded)
    if fake_features.digest == real_features.digest:
        raise UserError(
            f"{fake.name} and {real.name} are the same images: every score would be "
            "perfect"
        )
    protocol = {
        "extractor": extractor.name,
        "extractor_sha256": extractor.digest,
        "resizer": extractor.resizer,
        "fake": fake.name,
        "fake_sha256": fake_features.digest[:16],
        "num_fake": fake_features.gaussian.count,
        "real": real.name,
        "real_sha256": real_features.digest[:16],
        "num_real": real_features.gaussian.count,
    }
    scores: dict[str, float] = {}
    for name in tqdm(
        metrics,
        desc="Metrics",
        unit="",
        leave=False,
        disable=None if show_progress else True,
    ):
        computed, settings = METRICS[name].compute(real_features, fake_features, seed)
        scores |= computed
        protocol |= settings
    return scores, protocol


def save_scores(path: Path, scores: dict[str, float], protocol: dict[str, Any]) -> None:
    """Adds scores to a JSON file, a list of records of `scores` and `protocol`.

    A record with the same protocol is replaced.

    Args:
        path: File to write; its folder is created.
        scores: Dict of floats.
        protocol: Dict, as returned by `evaluate`.
    """
    records = json.loads(path.read_text()) if path.exists() else []
    records = [record for record in records if record["protocol"] != protocol]
    records.append({"scores": scores, "protocol": protocol})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(records, indent=2) + "\n")
    os.replace(partial, path)
