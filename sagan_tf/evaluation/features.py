"""Features of an image set: computed in chunks, and cached for real images."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sagan_tf import files
from sagan_tf.arrays import NUMERIC, load_arrays
from sagan_tf.cache import cache_dir, digest, warn_damaged
from sagan_tf.errors import UserError
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.gaussian import Gaussian, RunningGaussian
from sagan_tf.evaluation.image_sets import ImageSet, LoadedImages


class FeatureSet(NamedTuple):
    """The features of an image set.

    Attributes:
        gaussian: `Gaussian` of the features.
        features: float32 `[N, features]`.
        probabilities: float32 `[N, classes]`, or None.
        labels: int `[N]`, or None.
        digest: SHA-256 of the images.
    """

    gaussian: Gaussian
    features: np.ndarray
    probabilities: Any
    labels: Any
    digest: str


class FeatureComputer:
    """Computes features.

    Args:
        extractor: `Extractor`.
        show_progress: Boolean, whether to show a progress bar.
    """

    def __init__(self, extractor: Extractor, show_progress: bool = True):
        self._extractor = extractor
        self._show_progress = show_progress

    def compute(self, name: str, loaded: LoadedImages) -> FeatureSet:
        """Computes the features of loaded images."""
        running, hashed = RunningGaussian(), hashlib.sha256()
        features, probabilities = [], []
        with tqdm(
            total=loaded.num_images,
            desc=f"Features, {name}",
            unit=" images",
            leave=False,
            disable=None if self._show_progress else True,
        ) as bar:
            for images in loaded.chunks:
                new_features, new_probabilities = self._extractor(images)
                running.update(new_features)
                hashed.update(np.ascontiguousarray(images).data)
                features.append(np.float32(new_features))
                if new_probabilities is not None:
                    probabilities.append(np.float32(new_probabilities))
                bar.update(len(images))
        return FeatureSet(
            running.result(),
            np.concatenate(features),
            np.concatenate(probabilities) if probabilities else None,
            loaded.labels,
            hashed.hexdigest(),
        )

    def compute_once(self, image_set: ImageSet) -> FeatureSet:
        """Returns the features of an image set from the cache, or computes them."""
        extractor = self._extractor
        if image_set.fingerprint is None:
            return self.compute(image_set.name, image_set.load())
        key = digest([image_set.fingerprint, extractor.digest, extractor.resizer])
        path = cache_dir() / "features" / f"{key}.npz"
        cached = _read(path)
        if cached is not None:
            return cached
        computed = self.compute(image_set.name, image_set.load())
        _write(path, computed)
        return computed


def _read(path: Path) -> FeatureSet | None:
    """Returns a cached `FeatureSet`, or None if there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        arrays = load_arrays(path, NUMERIC + "U")
        cached = FeatureSet(
            gaussian=Gaussian(
                int(arrays["count"]), arrays["mean"], arrays["covariance"]
            ),
            features=arrays["features"],
            probabilities=None,
            labels=arrays.get("labels"),
            digest=str(arrays["digest"]),
        )
        _check(cached)
    except (UserError, KeyError, TypeError, ValueError) as error:
        warn_damaged(path, error)
        return None
    return cached


def _check(cached: FeatureSet) -> None:
    """Raises `ValueError` if the arrays do not fit together."""
    count, mean, covariance = vars(cached.gaussian).values()
    size = len(mean)
    expected = [
        (mean, (size,)),
        (covariance, (size, size)),
        (cached.features, (count, size)),
    ]
    if cached.labels is not None:
        expected.append((cached.labels, (count,)))
    for array, shape in expected:
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"it has an array {array.dtype} {list(array.shape)}")


def _write(path: Path, computed: FeatureSet) -> None:
    labels = {} if computed.labels is None else {"labels": computed.labels}
    with files.replacing(path) as partial:
        np.savez(
            partial,
            **vars(computed.gaussian),
            features=computed.features,
            digest=computed.digest,
            **labels,
        )
