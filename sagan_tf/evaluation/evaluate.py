"""Figures of a run, each with the protocol that it was computed by."""

import hashlib
import json
import os
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from sagan_tf.errors import UserError
from sagan_tf.evaluation import metrics as formulas
from sagan_tf.evaluation.cache import cache_dir, digest
from sagan_tf.evaluation.statistics import Gaussian, RunningGaussian

_PRECISION_NEIGHBORS, _DENSITY_NEIGHBORS = 3, 5
_KID_SUBSETS, _KID_SUBSET_SIZE = 100, 1000
_IS_SPLITS = 10


class FeatureSet(NamedTuple):
    """What is known of a set of images once an extractor has seen it.

    Attributes:
        gaussian: `Gaussian` of its features.
        features: float32 `[N, features]`, or None where they were not kept.
        probabilities: float32 `[N, classes]`, or None.
        labels: int `[N]`, or None.
        digest: SHA-256 of the images.
    """

    gaussian: Gaussian
    features: np.ndarray | None
    probabilities: np.ndarray | None
    labels: np.ndarray | None
    digest: str


def evaluate(extractor, real, fake, metrics=("fid",), seed=0, show_progress=True):
    """Computes figures of one set of images against another.

    Args:
        extractor: `Extractor`.
        real: `ImageSet`, the reference. Its features are kept in the cache.
        fake: `ImageSet`.
        metrics: Some of `METRICS`.
        seed: Integer, of KID's subsets and of the order of images for IS.
        show_progress: Boolean, whether to show a bar.

    Returns:
        A dict of the figures, and a dict of the protocol: all that they depend on.

    Raises:
        UserError: for an unknown metric, one that needs more images, labels or class
            probabilities than there are, or two sets that are the same.
    """
    check_metrics(metrics)
    if "is" in metrics and not extractor.tells_classes:
        raise UserError(
            f"is needs an extractor that tells classes. Received: {extractor.name}"
        )
    # Most of what may be missing shows before the minutes that features take.
    fake_images = _load(fake, metrics)
    real_set = _extract_once(extractor, real, metrics, show_progress)
    fake_set = _extract(extractor, fake.name, fake_images, metrics, show_progress)
    if fake_set.digest == real_set.digest:
        raise UserError(
            f"{fake.name} and {real.name} are the same images, and every figure would "
            "be perfect"
        )
    protocol = {
        "extractor": extractor.name,
        "extractor_sha256": extractor.digest,
        "resizer": extractor.resizer,
        "fake": fake.name,
        "fake_sha256": fake_set.digest[:16],
        "num_fake": fake_set.gaussian.count,
        "real": real.name,
        "real_sha256": real_set.digest[:16],
        "num_real": real_set.gaussian.count,
    }
    figures = {}
    for name in tqdm(
        metrics, desc="Figures", unit="", leave=False, disable=not show_progress
    ):
        computed, settings = METRICS[name](real_set, fake_set, seed)
        figures |= computed
        protocol |= settings
    return figures, protocol


def check_metrics(metrics):
    """Raises `UserError` for a name that is none of `METRICS`, or for no name."""
    unknown = [repr(name) for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise UserError(
            f"There is no metric {', '.join(unknown) or 'given'}. Metrics: "
            f"{', '.join(METRICS)}"
        )


def save_figures(path, figures, protocol):
    """Adds figures to a JSON file, a list of records of `figures` and `protocol`.

    What the file has by the same protocol is replaced.

    Args:
        path: File to write; its folder is made.
        figures: Dict of floats.
        protocol: Dict, as `evaluate` gives it.
    """
    records = json.loads(path.read_text()) if path.exists() else []
    records = [record for record in records if record["protocol"] != protocol]
    records.append({"figures": figures, "protocol": protocol})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(records, indent=2) + "\n")
    os.replace(partial, path)


def _load(image_set, metrics):
    """Loads a set of images that has what the metrics need."""
    count, labels, chunks = image_set.load()
    _check_set(image_set.name, count, labels, metrics)
    return count, labels, chunks


def _check_set(name, count, labels, metrics):
    for metric in metrics:
        least = _LEAST_IMAGES.get(metric, 2)
        if count < least:
            raise UserError(f"{metric} needs {least} images or more. {name}: {count}")
    if "intra_fid" in metrics and labels is None:
        raise UserError(f"intra_fid needs classes, and {name} has none")


def _check_covariances(name, count, labels, features, metrics):
    """Refuses fewer images, or images of a class, than features: no full covariance."""
    needed = [("fid", "", count)] if "fid" in metrics else []
    if "intra_fid" in metrics:
        classes = zip(*np.unique(labels, return_counts=True), strict=True)
        needed += [("intra_fid", f" of class {label}", own) for label, own in classes]
    for metric, which, own_count in needed:
        if own_count <= features:
            raise UserError(
                f"{metric} needs more images{which} than the {features} features "
                f"that covariances are of. {name}: {own_count}. Take more, or "
                "another metric, such as kid"
            )


def _extract(extractor, name, loaded, metrics, show_progress):
    """Goes through images; keeps single features only where a metric needs them."""
    count, labels, chunks = loaded
    keep = _needs_features(metrics)
    running, hashed = RunningGaussian(), hashlib.sha256()
    features, probabilities = [], []
    with tqdm(
        total=count,
        desc=f"Features, {name}",
        unit=" images",
        leave=False,
        disable=not show_progress,
    ) as bar:
        for number, images in enumerate(chunks):
            new_features, new_probabilities = extractor(images)
            if number == 0:  # the first say how many features there are
                _check_covariances(name, count, labels, new_features.shape[1], metrics)
            running.update(new_features)
            hashed.update(np.ascontiguousarray(images))
            if keep:
                features.append(np.float32(new_features))
            if new_probabilities is not None:
                probabilities.append(np.float32(new_probabilities))
            bar.update(len(images))
    return FeatureSet(
        running.result(),
        np.concatenate(features) if keep else None,
        np.concatenate(probabilities) if probabilities else None,
        labels,
        hashed.hexdigest(),
    )


def _extract_once(extractor, image_set, metrics, show_progress):
    """The same of an image set, from the cache where it is there."""
    name = image_set.name
    if image_set.known_by is None:
        loaded = _load(image_set, metrics)
        return _extract(extractor, name, loaded, metrics, show_progress)
    known_by = digest([image_set.known_by, extractor.digest, extractor.resizer])
    path = cache_dir() / "features" / f"{known_by}.npz"
    known = _read(path, _needs_features(metrics)) if path.exists() else None
    if known is not None:
        count, features = known.gaussian.count, len(known.gaussian.mean)
        _check_set(name, count, known.labels, metrics)
        _check_covariances(name, count, known.labels, features, metrics)
        return known
    loaded = _load(image_set, metrics)
    extracted = _extract(extractor, name, loaded, metrics, show_progress)
    _write(path, extracted)
    return extracted


def _read(path, keep):
    """The `FeatureSet` in a file; None if its single features are wanted, and gone."""
    with np.load(path) as arrays:
        if keep and "features" not in arrays:
            return None
        return FeatureSet(
            gaussian=Gaussian(
                int(arrays["count"]), arrays["mean"], arrays["covariance"]
            ),
            features=arrays["features"] if keep else None,
            probabilities=None,
            labels=arrays["labels"] if "labels" in arrays else None,
            digest=str(arrays["digest"]),
        )


def _write(path, feature_set):
    optional = {"features": feature_set.features, "labels": feature_set.labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{os.getpid()}-{path.name}")
    np.savez(
        partial,
        **feature_set.gaussian._asdict(),
        digest=feature_set.digest,
        **{name: value for name, value in optional.items() if value is not None},
    )
    os.replace(partial, path)


def _fid(real, fake, seed):
    return {"fid": formulas.frechet_distance(real.gaussian, fake.gaussian)}, {}


def _kid(real, fake, seed):
    size = min(_KID_SUBSET_SIZE, real.gaussian.count, fake.gaussian.count)
    mean, deviation = formulas.kernel_distance(
        real.features, fake.features, _KID_SUBSETS, size, seed
    )
    figures = {"kid": mean, "kid_std": deviation}
    settings = {
        "kid_subsets": _KID_SUBSETS,
        "kid_subset_size": size,
        "kid_seed": seed,
    }
    return figures, settings


def _inception_score(real, fake, seed):
    # Images that lie class by class would give each part a class of its own.
    shuffled = np.random.default_rng(seed).permutation(fake.probabilities)
    mean, deviation = formulas.inception_score(shuffled, _IS_SPLITS)
    settings = {"is_splits": _IS_SPLITS, "is_seed": seed}
    return {"is": mean, "is_std": deviation}, settings


def _precision_recall(real, fake, seed):
    precision, recall = formulas.precision_recall(
        real.features, fake.features, _PRECISION_NEIGHBORS
    )
    figures = {"precision": precision, "recall": recall}
    return figures, {"precision_recall_neighbors": _PRECISION_NEIGHBORS}


def _density_coverage(real, fake, seed):
    density, coverage = formulas.density_coverage(
        real.features, fake.features, _DENSITY_NEIGHBORS
    )
    figures = {"density": density, "coverage": coverage}
    return figures, {"density_coverage_neighbors": _DENSITY_NEIGHBORS}


def _intra_fid(real, fake, seed):
    distances = []
    for label in np.unique(real.labels):
        pair = []
        for own in (real, fake):
            features = own.features[own.labels == label]
            if len(features) < 2:
                raise UserError(
                    f"intra_fid needs images of every class: {len(features)} are of "
                    f"class {label}. Take more"
                )
            running = RunningGaussian()
            running.update(features)
            pair.append(running.result())
        distances.append(formulas.frechet_distance(*pair))
    return {"intra_fid": float(np.mean(distances))}, {}


def _needs_features(metrics):
    """Whether the moments of the features are not enough."""
    return not {"fid", "is"}.issuperset(metrics)


# Each from two `FeatureSet`s and a seed to its figures and to its part of the protocol.
METRICS = {
    "fid": _fid,
    "kid": _kid,
    "is": _inception_score,
    "precision_recall": _precision_recall,
    "density_coverage": _density_coverage,
    "intra_fid": _intra_fid,
}
_LEAST_IMAGES = {
    "is": _IS_SPLITS,
    "precision_recall": _PRECISION_NEIGHBORS + 1,
    "density_coverage": _DENSITY_NEIGHBORS + 1,
}
