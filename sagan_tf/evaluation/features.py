"""Features of an image set: computed in chunks, and cached for real images."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import cache_dir, digest
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.gaussian import Gaussian, RunningGaussian
from sagan_tf.evaluation.image_sets import ImageSet, LoadedImages


class Needs(NamedTuple):
    """What a metric needs of an image set.

    Attributes:
        features: Boolean, the features of each image. Otherwise their `Gaussian` is
            enough.
        probabilities: Boolean, class probabilities of generated images.
        covariance: Boolean, a full covariance: more images than features.
        class_covariances: Boolean, labels, and a full covariance for each class.
        least_images: Integer.
    """

    features: bool = False
    probabilities: bool = False
    covariance: bool = False
    class_covariances: bool = False
    least_images: int = 2


class FeatureSet(NamedTuple):
    """The features of an image set.

    Attributes:
        gaussian: `Gaussian` of the features.
        features: float32 `[N, features]`, or None if no metric needs them.
        probabilities: float32 `[N, classes]`, or None.
        labels: int `[N]`, or None.
        digest: SHA-256 of the images.
    """

    gaussian: Gaussian
    features: Any
    probabilities: Any
    labels: Any
    digest: str


class FeatureComputer:
    """Computes features with all that some metrics need.

    Args:
        extractor: `Extractor`.
        needs: Dict from the names of metrics to their `Needs`.
        show_progress: Boolean, whether to show a progress bar.
    """

    def __init__(
        self, extractor: Extractor, needs: dict[str, Needs], show_progress: bool = True
    ):
        self._extractor = extractor
        self._needs = needs
        self._show_progress = show_progress
        self._keeps_features = any(need.features for need in needs.values())

    def load(self, image_set: ImageSet) -> LoadedImages:
        """Loads an image set.

        Raises:
            UserError: if a metric needs more images, or labels.
        """
        loaded = image_set.load()
        self._check_images(image_set.name, loaded.num_images, loaded.labels)
        return loaded

    def compute(self, name: str, loaded: LoadedImages) -> FeatureSet:
        """Computes the features of loaded images.

        Raises:
            UserError: if a metric needs more images than there are.
        """
        running, hashed = RunningGaussian(), hashlib.sha256()
        features, probabilities = [], []
        with tqdm(
            total=loaded.num_images,
            desc=f"Features, {name}",
            unit=" images",
            leave=False,
            disable=None if self._show_progress else True,
        ) as bar:
            for index, images in enumerate(loaded.chunks):
                new_features, new_probabilities = self._extractor(images)
                if index == 0:  # only now is the number of features known
                    size = new_features.shape[1]
                    self._check_covariances(
                        name, loaded.num_images, loaded.labels, size
                    )
                running.update(new_features)
                hashed.update(np.ascontiguousarray(images).data)
                if self._keeps_features:
                    features.append(np.float32(new_features))
                if new_probabilities is not None:
                    probabilities.append(np.float32(new_probabilities))
                bar.update(len(images))
        return FeatureSet(
            running.result(),
            np.concatenate(features) if features else None,
            np.concatenate(probabilities) if probabilities else None,
            loaded.labels,
            hashed.hexdigest(),
        )

    def compute_once(self, image_set: ImageSet) -> FeatureSet:
        """Returns the features of an image set from the cache, or computes them."""
        name, extractor = image_set.name, self._extractor
        if image_set.fingerprint is None:
            return self.compute(name, self.load(image_set))
        key = digest([image_set.fingerprint, extractor.digest, extractor.resizer])
        path = cache_dir() / "features" / f"{key}.npz"
        cached = _read(path, self._keeps_features) if path.exists() else None
        if cached is not None:
            count, size = cached.gaussian.count, len(cached.gaussian.mean)
            self._check_images(name, count, cached.labels)
            self._check_covariances(name, count, cached.labels, size)
            return cached
        computed = self.compute(name, self.load(image_set))
        _write(path, computed)
        return computed

    def _check_images(self, name: str, count: int, labels: np.ndarray | None) -> None:
        for metric, needs in self._needs.items():
            if count < needs.least_images:
                raise UserError(
                    f"{metric} needs {needs.least_images} images or more. "
                    f"{name}: {count}"
                )
            if needs.class_covariances and labels is None:
                raise UserError(f"{metric} needs classes, and {name} has none")

    def _check_covariances(
        self, name: str, count: int, labels: Any, features: int
    ) -> None:
        """Raises `UserError` if there are not more images than features."""
        groups: Sequence[tuple[str, int]]
        for metric, needs in self._needs.items():
            groups = [("", count)] if needs.covariance else []
            if needs.class_covariances:
                classes = zip(*np.unique(labels, return_counts=True), strict=True)
                groups = [(f" of class {label}", own) for label, own in classes]
            for which, own_count in groups:
                if own_count <= features:
                    raise UserError(
                        f"{metric} needs more images{which} than the {features} "
                        f"features of the extractor. {name}: {own_count}. Take more "
                        "images, or another metric, such as kid"
                    )


def _read(path: Path, keeps_features: bool) -> FeatureSet | None:
    """Returns a cached `FeatureSet`, or None if it lacks features that are needed."""
    with np.load(path) as arrays:
        if keeps_features and "features" not in arrays:
            return None
        return FeatureSet(
            gaussian=Gaussian(
                int(arrays["count"]), arrays["mean"], arrays["covariance"]
            ),
            features=arrays["features"] if keeps_features else None,
            probabilities=None,
            labels=arrays["labels"] if "labels" in arrays else None,
            digest=str(arrays["digest"]),
        )


def _write(path: Path, computed: FeatureSet) -> None:
    optional: dict[str, Any] = {
        "features": computed.features,
        "labels": computed.labels,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{os.getpid()}-{path.name}")
    np.savez(
        partial,
        **vars(computed.gaussian),
        digest=computed.digest,
        **{name: value for name, value in optional.items() if value is not None},
    )
    os.replace(partial, path)
