"""The two image sets that a metric compares."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.config import Config
from sagan_tf.data import load_images, open_source
from sagan_tf.data.loading import choose
from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import describe_data
from sagan_tf.sampling import Sampler

CHUNK = 500


class LoadedImages(NamedTuple):
    """The images of a set.

    Attributes:
        num_images: Integer.
        labels: int `[num_images]`, or None.
        chunks: Iterable of uint8 arrays `[<= 500, size, size, channels]`.
    """

    num_images: int
    labels: np.ndarray | None
    chunks: Iterable[np.ndarray]


class ImageSet(NamedTuple):
    """Images that are generated or loaded only when they are used.

    Attributes:
        name: What they are, for a protocol.
        fingerprint: Everything that decides which images they are, for JSON, or None
            if that is not known.
        load: Function without arguments that returns `LoadedImages`.
    """

    name: str
    fingerprint: dict[str, Any] | None
    load: Callable[[], LoadedImages]


def generated_images(
    sampler: Sampler,
    network: str,
    step: int,
    num_images: int,
    seed: int = 0,
    truncation: float = 1.0,
) -> ImageSet:
    """Returns the image set of `Sampler.generate`, with random labels if any.

    Args:
        sampler: `Sampler` of the generator.
        network: What a protocol calls the generator.
        step: Integer, its step.
        num_images: Positive integer.
        seed: Integer.
        truncation: Float; see `Sampler.latents`.
    """

    def load() -> LoadedImages:
        latents = sampler.latents(num_images, seed, truncation)
        labels = None
        if sampler.num_classes:
            labels = sampler.labels(num_images, seed).numpy()
        return LoadedImages(num_images, labels, render(latents, labels))

    def render(latents: Any, labels: np.ndarray | None) -> Iterator[np.ndarray]:
        for start in range(0, num_images, CHUNK):
            part = slice(start, start + CHUNK)
            classes = None if labels is None else labels[part]
            yield sampler.render(latents[part], classes)

    name = f"{network} at step {step}, seed {seed}, truncation {truncation:g}"
    return ImageSet(name, None, load)


def find_images(
    location: str, config: Config, num_images: int | None = None
) -> ImageSet:
    """Returns the image set of a split, a file or a folder.

    Args:
        location: A split of the run's data set, a `FILE.npz` with `images`, as `sample`
            writes it, or a folder of image files. The split comes first; a folder of
            the same name is `./NAME`.
        config: The run's `Config`.
        num_images: Positive integer. Of a larger set only this many are taken.

    Raises:
        UserError: if there is no such file, or, once loaded, if the images do not have
            the run's size and channels.
    """
    path = Path(location)
    is_split = location == config.split or (
        path.is_dir() and location in open_source(config).splits()
    )
    if not is_split and (path.suffix == ".npz" or path.is_dir()):
        if not path.exists():
            raise UserError(f"There is no file {location}")
        load_all = _load_folder if path.is_dir() else _load_file
        return ImageSet(
            str(location), None, lambda: _in_chunks(*load_all(path, config, num_images))
        )
    # The images are chosen independently of the run's seed.
    config = dataclasses.replace(config, split=location, seed=0)
    source = open_source(config)
    if not is_split and not source.splits():
        raise UserError(
            f"{location} is not a file or folder, and {config.dataset} has no splits "
            "to choose from"
        )
    crop = f", crop of {config.crop_size} px" if config.crop_size else ""
    return ImageSet(
        f"{source.description}{crop}, at {config.image_size} px",
        {**describe_data(config), "num_images": num_images},
        lambda: _in_chunks(*load_images(config, num_images)),
    )


def _in_chunks(images: np.ndarray, labels: np.ndarray | None) -> LoadedImages:
    if labels is not None and (labels < 0).any():
        labels = None
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    return LoadedImages(len(images), labels, chunks)


def _load_file(
    path: Path, config: Config, num_images: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            images = arrays["images"]
            labels = arrays["labels"] if "labels" in arrays else None
    # A damaged .npz fails in NumPy, zipfile or zlib, each in its own ways.
    except Exception as error:
        raise UserError(f"{path} has no readable array 'images' ({error})") from None
    expected = (config.image_size, config.image_size, config.channels)
    if images.shape[1:] != expected or images.dtype != np.uint8 or not images.size:
        raise UserError(
            f"{path} must hold images like the run's, uint8 [N, {expected[0]}, "
            f"{expected[1]}, {expected[2]}]. Received: {images.dtype} "
            f"{list(images.shape)}"
        )
    if labels is not None and (
        labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer)
    ):
        raise UserError(
            f"{path} must hold an integer label for each of its {len(images)} images. "
            f"Received: {labels.dtype} {list(labels.shape)}"
        )
    if num_images is not None and num_images < len(images):
        chosen = choose(len(images), num_images, seed=0)
        return images[chosen], None if labels is None else labels[chosen]
    return images, labels


def _load_folder(
    path: Path, config: Config, num_images: int | None
) -> tuple[np.ndarray, np.ndarray]:
    config = dataclasses.replace(
        config, dataset="folder", data_dir=str(path), crop_size=None, seed=0
    )
    return load_images(config, num_images)
