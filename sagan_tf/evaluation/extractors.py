"""Networks that turn images into the features that figures are computed on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import cache_dir, digest, digest_files, digest_weights
from sagan_tf.evaluation.classifier import load_classifier

# The network of the published figures, as TF-GAN gives it.
INCEPTION = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
_INCEPTION_SIZE = 299
_BATCH = 100


class Extractor(NamedTuple):
    """A network, with what has to be said of it beside every number.

    Attributes:
        name: What it is.
        digest: Short SHA-256 of its files.
        resizer: How images are brought to its size.
        network: Function of float images `[batch, size, size, channels]` in `[-1, 1]`
            to features `[batch, features]` and to logits `[batch, classes]`, or None
            if it tells no classes.
        tells_classes: Boolean, whether it does.
    """

    name: str
    digest: str
    resizer: str
    network: Callable
    tells_classes: bool = False

    def __call__(self, images):
        """Features and class probabilities of a batch of images.

        Args:
            images: uint8 `[batch, size, size, channels]`, of any batch size.

        Returns:
            float64 `[batch, features]`, and float64 `[batch, classes]` or None.
        """
        count = len(images)
        # One shape whatever the batch: one trace, and the same features.
        padded = np.zeros((_BATCH, *images.shape[1:]), np.uint8)
        outputs = []
        for start in range(0, count, _BATCH):
            part = images[start : start + _BATCH]
            padded[: len(part)] = part
            features, logits = self.network(scale(padded))
            if logits is not None:
                logits = tf.nn.softmax(tf.cast(logits, tf.float64)).numpy()
            outputs.append((np.asarray(features, np.float64), logits))
        features, probabilities = zip(*outputs, strict=True)
        features = np.concatenate(features)[:count]
        if probabilities[0] is None:
            return features, None
        return features, np.concatenate(probabilities)[:count]


def load_extractor(name, config):
    """Loads an extractor.

    Args:
        name: `"classifier"`: a small network trained once on the data set's labels;
            `"inception"`: the network of the published figures, downloaded once;
            `"inception:PLACE"`: the same, a SavedModel at a path or a TF-Hub address;
            or the path of a `.keras` file or SavedModel, whose output are features.
        config: The run's `Config`.

    Returns:
        An `Extractor`.

    Raises:
        UserError: if it is not there, cannot be downloaded, or does not take the
            run's images.
    """
    if name == "classifier":
        return _classifier(config)
    kind, _, place = name.partition(":")
    if kind == "inception":
        return _inception(place or INCEPTION)
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"There is no extractor {name!r}: give classifier, inception, "
            "inception:PLACE, or the path of a .keras file or SavedModel"
        )
    return _from_path(path, config)


def _classifier(config):
    network, accuracy, tells_classes = load_classifier(config)

    def extract(images):
        features, logits = network(images, training=False)
        return features, logits if tells_classes else None

    return Extractor(
        f"classifier of {config.dataset} {config.split} at {config.image_size} px, "
        f"{accuracy:.1%} right on images held out",
        digest_weights(network),
        "none",
        tf.function(extract),
        tells_classes,
    )


def _inception(place):
    folder = _download(place) if "://" in place else Path(place)
    if not folder.is_dir():
        raise UserError(f"There is no Inception SavedModel at {place}")
    model = _load_saved_model(folder)

    def extract(images):
        if images.shape[-1] == 1:
            images = tf.image.grayscale_to_rgb(images)
        # As TF-GAN does, and so without antialiasing.
        images = tf.image.resize(images[..., :3], [_INCEPTION_SIZE] * 2)
        outputs = model(images)
        return tf.reshape(outputs["pool_3"], [_BATCH, -1]), outputs["logits"]

    return Extractor(
        "inception",
        digest_files(folder),
        f"bilinear to {_INCEPTION_SIZE} px (tf.image.resize, not antialiased)",
        tf.function(extract),
        tells_classes=True,
    )


def _download(address):
    """Downloads a SavedModel of TensorFlow Hub, once; returns its folder."""
    folder = cache_dir() / "inception" / digest(address)
    checksum = folder.with_suffix(".sha256")
    if not checksum.exists():
        # Left over from a download that was broken off.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            keras.utils.get_file(
                fname="inception.tar.gz",
                origin=f"{address}?tf-hub-format=compressed",
                cache_dir=folder,
                cache_subdir="",
                extract=True,
            )
            _find_saved_model(folder)
        # Of whatever kind it is (no network, no such address, no archive).
        except Exception as error:
            raise UserError(
                f"Inception is not in {folder.parent} and could not be downloaded from "
                f"{address} ({str(error).strip():.150}). Without a network take "
                "another extractor: classifier, or inception:DIR, a SavedModel"
            ) from None
        checksum.write_text(digest_files(folder))
    if digest_files(folder) != checksum.read_text():
        raise UserError(
            f"{folder} is not what was downloaded: its checksum has changed. Delete "
            f"{checksum} to download it again"
        )
    return _find_saved_model(folder)


def _find_saved_model(folder):
    models = list(folder.rglob("saved_model.pb"))
    if not models:
        raise ValueError("there is no SavedModel in what came")
    return models[0].parent


def _from_path(path, config):
    """A Keras model or SavedModel, from images in `[-1, 1]` to features."""
    if path.is_dir():
        model = _load_saved_model(path)
    else:
        try:
            model = keras.saving.load_model(path, compile=False)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} is no Keras model ({reason:.200})") from None
        _check_shape(path, model.input_shape[1:], config)

    def extract(images):
        outputs = model(images)
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        if isinstance(outputs, (list, tuple)):
            outputs = outputs[0]
        if len(outputs.shape) == 4:  # a map: the mean over its positions
            outputs = tf.reduce_mean(outputs, [1, 2])
        return tf.reshape(outputs, [_BATCH, -1]), None

    extractor = Extractor(path.name, digest_files(path), "none", tf.function(extract))
    size, channels = config.image_size, config.channels
    try:
        extractor(np.zeros((1, size, size, channels), np.uint8))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise _wrong_images(path, config, str(error).strip().splitlines()[0]) from None
    return extractor


def _check_shape(path, shape, config):
    # Keras itself lets other heights and widths pass.
    size, channels = config.image_size, config.channels
    if any(
        expected not in (None, given)
        for expected, given in zip(shape, (size, size, channels), strict=False)
    ):
        raise _wrong_images(path, config, f"it takes {list(shape)}")


def _wrong_images(path, config, reason):
    size = config.image_size
    return UserError(
        f"{path} does not take images [batch, {size}, {size}, {config.channels}], as "
        f"the run's are ({reason:.200})"
    )


def _load_saved_model(path):
    try:
        model = tf.saved_model.load(str(path))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is no SavedModel ({reason:.200})") from None
    if callable(model):
        return model
    return lambda images: model.signatures["serving_default"](images)
