"""Feature extractors: the networks whose features metrics compare."""

import contextlib
import http.client
import queue
import re
import shutil
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import files
from sagan_tf.cache import cache_dir, digest, digest_arrays, digest_files
from sagan_tf.config import EXTRACTORS, Config, check_trusted
from sagan_tf.data import open_source
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.evaluation import classifier
from sagan_tf.text import first_line
from sagan_tf.types import Tensor

# The network of published scores, as TF-GAN distributes it.
INCEPTION_ADDRESS = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
_INCEPTION_SIZE = 299
_SECONDS_TO_REACH = 10.0
_BATCH_SIZE = 100


class Extractor(NamedTuple):
    """A feature extractor, and what a protocol says of it.

    Attributes:
        name: What it is.
        short_name: What its scores are named after, such as `"classifier"`.
        digest: Short SHA-256 of its files.
        resizer: How images are resized for it.
        network: Function of float images `[batch, size, size, channels]` in `[-1, 1]`
            that returns features `[batch, features]` and logits `[batch, classes]`, or
            None instead of logits.
        has_probabilities: Boolean, whether there are logits.
        accuracy: Float, its accuracy on held-out images, or None if it is not known.
        chance: Float, the accuracy of always predicting what is most frequent, or None.
    """

    name: str
    short_name: str
    digest: str
    resizer: str
    network: Callable
    has_probabilities: bool = False
    accuracy: float | None = None
    chance: float | None = None

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns features and class probabilities of images.

        Args:
            images: uint8 `[N, size, size, channels]`.

        Returns:
            float64 `[N, features]`, and float64 `[N, classes]` or None.
        """
        count = len(images)
        # One batch shape means one trace, and the same features whatever the batch.
        padded = np.zeros((_BATCH_SIZE, *images.shape[1:]), np.uint8)
        outputs = []
        for start in range(0, count, _BATCH_SIZE):
            part = images[start : start + _BATCH_SIZE]
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


def choose_extractor(name: str, download: bool = True) -> str:
    """Returns the extractor that `auto` stands for, and says which; others unchanged.

    It is Inception where it is cached or can be downloaded from an address that answers
    within ten seconds, and the classifier elsewhere.

    Args:
        name: Name of an extractor.
        download: Boolean, whether to download Inception if it is chosen.
    """
    if name != "auto":
        return name
    if _checksum_path(INCEPTION_ADDRESS).exists():
        print("Extractor: inception, which is cached")
        return "inception"
    if not is_reachable(_archive(INCEPTION_ADDRESS), _SECONDS_TO_REACH):
        print(
            "Extractor: classifier, because Inception is not cached and "
            f"{INCEPTION_ADDRESS} cannot be reached"
        )
        return "classifier"
    if download:
        print(f"Downloading Inception from {INCEPTION_ADDRESS}, once")
        try:
            _download(INCEPTION_ADDRESS)
        except UserError as error:
            print(f"Extractor: classifier. {error}")
            return "classifier"
    print(f"Extractor: inception, downloaded from {INCEPTION_ADDRESS}")
    return "inception"


def is_reachable(address: str, seconds: float) -> bool:
    """Returns whether an address answers within so many seconds."""
    answers: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=seconds):
                answers.put(True)
        except (OSError, ValueError, http.client.HTTPException):
            answers.put(False)

    # No timeout ends a name server that does not answer: it is left behind.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return False


def is_inception(name: str) -> bool:
    """Returns whether the name of an extractor, or its short name, means Inception."""
    return name.partition(":")[0] == "inception"


def has_class_probabilities(name: str, config: Config) -> bool:
    """Returns whether an extractor will have class probabilities, before it is loaded.

    Args:
        name: As in `load_extractor`, but not `"auto"`.
        config: The run's `Config`.
    """
    if name == "classifier":
        return len(open_source(config).class_names()) > 1
    return is_inception(name)


def load_extractor(name: str, config: Config) -> Extractor:
    """Loads an extractor.

    Args:
        name: `"classifier"`, a small network trained once on the data set's labels,
            attributes or rotations; `"inception"`, that of published scores, downloaded
            once; `"auto"`, see `choose_extractor`; `"inception:PATH_OR_URL"`, its
            SavedModel; or the path of a `.keras` file or SavedModel that returns
            features.
        config: The run's `Config`.

    Raises:
        UserError: if it is missing, cannot be downloaded, or does not take the run's
            images.
    """
    check_trusted(name)
    name = choose_extractor(name)
    if name == "classifier":
        return _load_classifier(config)
    if is_inception(name):
        return _load_inception(name.partition(":")[2] or INCEPTION_ADDRESS)
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"There is no extractor {name!r}. Give {', '.join(EXTRACTORS)}, "
            "inception:PATH_OR_URL, or the path of a .keras file or SavedModel"
        )
    return _load_path(path, config)


def _load_classifier(config: Config) -> Extractor:
    network, task, accuracy, chance = classifier.load_classifier(config)
    has_probabilities = task == "classes"

    def extract(images: Tensor) -> tuple[Tensor, Tensor | None]:
        features, logits = network(images, training=False)
        return features, logits if has_probabilities else None

    return Extractor(
        f"classifier of {config.dataset} {config.split} at {config.image_size} px, "
        f"trained on {task}, held-out accuracy {accuracy:.1%}, chance {chance:.1%}",
        "rotations" if task == "rotations" else "classifier",
        digest([classifier.VERSION, digest_arrays(network.get_weights())]),
        "none",
        tf.function(extract),
        has_probabilities,
        accuracy,
        chance,
    )


def _load_inception(location: str) -> Extractor:
    folder = _download(location) if "://" in location else Path(location)
    if not folder.is_dir():
        raise UserError(f"There is no Inception SavedModel at {location}")
    model = _load_saved_model(folder)

    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[-1] == 1:
            images = tf.image.grayscale_to_rgb(images)
        # Without antialiasing, like TF-GAN.
        images = tf.image.resize(images[..., :3], [_INCEPTION_SIZE] * 2)
        outputs = model(images)
        return tf.reshape(outputs["pool_3"], [_BATCH_SIZE, -1]), outputs["logits"]

    return Extractor(
        "inception",
        "inception",
        digest_files(folder),
        f"bilinear to {_INCEPTION_SIZE} px (tf.image.resize, not antialiased)",
        tf.function(extract),
        has_probabilities=True,
    )


def _archive(address: str) -> str:
    return f"{address}?tf-hub-format=compressed"


def _checksum_path(address: str) -> Path:
    """Returns the file that is written once a download is complete."""
    return cache_dir() / "inception" / f"{digest(address)}.sha256"


def _download(address: str) -> Path:
    """Downloads a SavedModel of TensorFlow Hub once; returns its folder."""
    checksum = _checksum_path(address)
    folder = checksum.with_suffix("")
    if not checksum.exists():
        # An interrupted download may have left files.
        shutil.rmtree(folder, ignore_errors=True)
        with files.write_errors(folder):
            folder.mkdir(parents=True)
        try:
            with _socket_timeout(_SECONDS_TO_REACH):
                keras.utils.get_file(
                    fname="inception.tar.gz",
                    origin=_archive(address),
                    cache_dir=folder,
                    cache_subdir="",
                    extract=True,
                )
            _find_saved_model(folder)
        # Whatever it is: no network, no such address, no archive.
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise UserError(
                f"Inception is not in {folder.parent} and could not be downloaded from "
                f"{address} ({str(error).strip():.150}). Without it there are the "
                "extractors classifier and inception:DIR, a SavedModel"
            ) from None
        files.write_text(checksum, digest_files(folder))
    if digest_files(folder) != files.read_text(checksum):
        raise UserError(
            f"{folder} has changed since it was downloaded: its checksum differs. "
            f"Delete {checksum} to download it again"
        )
    return _find_saved_model(folder)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """A server that sends nothing for so long is given up."""
    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(former)


def _find_saved_model(folder: Path) -> Path:
    models = list(folder.rglob("saved_model.pb"))
    if not models:
        raise ValueError("the download has no SavedModel")
    return models[0].parent


def _load_path(path: Path, config: Config) -> Extractor:
    """Loads a Keras model or SavedModel from images in `[-1, 1]` to features."""
    if path.is_dir():
        model = _load_saved_model(path)
    else:
        try:
            model = keras.saving.load_model(path, compile=False)
        except (OSError, ValueError, TypeError) as error:
            reason = first_line(error)
            raise UserError(f"{path} is not a Keras model ({reason:.200})") from None
        _check_input_shape(path, model.input_shape[1:], config)

    def extract(images: Tensor) -> tuple[Tensor, None]:
        outputs = model(images)
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        if isinstance(outputs, (list, tuple)):
            outputs = outputs[0]
        if len(outputs.shape) == 4:  # a feature map: its mean over positions
            outputs = tf.reduce_mean(outputs, [1, 2])
        return tf.reshape(outputs, [_BATCH_SIZE, -1]), None

    extractor = Extractor(
        path.name, _short_name(path), digest_files(path), "none", tf.function(extract)
    )
    size, channels = config.image_size, config.channels
    try:
        extractor(np.zeros((1, size, size, channels), np.uint8))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise _wrong_images(path, config, first_line(error)) from None
    return extractor


def _short_name(path: Path) -> str:
    """Returns the stem of a model's file, for the names of its scores."""
    stem = re.sub(r"\W+", "_", path.resolve().stem)
    # Whatever a file is called, its scores are not those of the extractor of that name.
    return f"file_{stem}" if stem in {*EXTRACTORS, "rotations"} else stem


def _check_input_shape(path: Path, shape: tuple[Any, ...], config: Config) -> None:
    # Keras itself accepts other heights and widths.
    size, channels = config.image_size, config.channels
    if any(
        expected not in (None, given)
        for expected, given in zip(shape, (size, size, channels), strict=False)
    ):
        raise _wrong_images(path, config, f"it takes {list(shape)}")


def _wrong_images(path: Path, config: Config, reason: str) -> UserError:
    size = config.image_size
    return UserError(
        f"{path} does not take the run's images, [batch, {size}, {size}, "
        f"{config.channels}] ({reason:.200})"
    )


def _load_saved_model(path: Path) -> Callable:
    try:
        model = tf.saved_model.load(str(path))
    except OSError as error:
        reason = first_line(error)
        raise UserError(f"{path} is not a SavedModel ({reason:.200})") from None
    if callable(model):
        return model
    return lambda images: model.signatures["serving_default"](images)
