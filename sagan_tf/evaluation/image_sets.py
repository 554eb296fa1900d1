"""The image sets that metrics compare."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.arrays import load_arrays
from sagan_tf.config import Config
from sagan_tf.data import load_images, open_source
from sagan_tf.data.loading import choose
from sagan_tf.data.preprocessing import describe_crop
from sagan_tf.data.sources import Source, describe_data
from sagan_tf.errors import UserError
from sagan_tf.evaluation.held_out import (
    count_held_out,
    find_others,
    held_out_indices,
    held_out_split,
    load_held_out,
    overlaps,
)
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
        num_images: Integer, how many there will be, unreadable ones included; None if
            only `load` tells.
        labels: Function that returns the labels if the set had a number of images,
            int `[<= number]`, or None without labels; None if only `load` tells.
    """

    name: str
    fingerprint: dict[str, Any] | None
    load: Callable[[], LoadedImages]
    num_images: int | None = None
    labels: Callable[[int], np.ndarray | None] | None = None


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

    def draw_labels(count: int) -> np.ndarray | None:
        return sampler.labels(count, seed).numpy() if sampler.num_classes else None

    def load() -> LoadedImages:
        labels = draw_labels(num_images)
        latents = sampler.latents(num_images, seed, truncation)
        return LoadedImages(num_images, labels, render(latents, labels))

    def render(latents: Any, labels: np.ndarray | None) -> Iterator[np.ndarray]:
        for start in range(0, num_images, CHUNK):
            part = slice(start, start + CHUNK)
            classes = None if labels is None else labels[part]
            yield sampler.render(latents[part], classes)

    name = f"{network} at step {step}, seed {seed}, truncation {truncation:g}"
    return ImageSet(name, None, load, num_images, draw_labels)


def uniform_noise(
    config: Config, num_images: int, classes: np.ndarray | None = None
) -> ImageSet:
    """Returns images of independent pixels, uniform from 0 to 255.

    Args:
        config: `Config`, for their size and channels.
        num_images: Positive integer.
        classes: int `[classes]`, labels that they get in turn, or None.
    """
    shape = (config.image_size, config.image_size, config.channels)

    def load() -> LoadedImages:
        labels = None if classes is None else np.resize(classes, num_images)
        return LoadedImages(num_images, labels, draw())

    def draw() -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for start in range(0, num_images, CHUNK):
            count = min(CHUNK, num_images - start)
            yield random.integers(0, 256, (count, *shape), np.uint8)

    drawn = {"noise": [num_images, *shape]}
    return ImageSet("uniform noise", drawn, load, num_images)


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
    if not _is_split(location, config):
        if path.is_dir():
            config = dataclasses.replace(
                config, dataset="folder", data_dir=location, crop_size=None
            )
            whole = _from_source(config, open_source(config), num_images)
            return whole._replace(name=location, fingerprint=None)
        if not path.exists():
            raise UserError(f"There is no file {location}")
        return ImageSet(
            location, None, lambda: _in_chunks(*_load_file(path, config, num_images))
        )
    source = _open_split(location, config)
    return _from_source(_of_split(config, location), source, num_images)


def find_real_images(
    location: str, config: Config, num_reference: int, num_held_out: int
) -> tuple[ImageSet, ImageSet]:
    """Returns the reference, and the held-out images that are compared with it.

    Held-out images are those of the test or validation split. Without one they are the
    held-out part of the training split, and a reference from there leaves them out.

    Args:
        location: The reference; see `find_images`.
        config: The run's `Config`.
        num_reference: Positive integer. Of a larger reference only this many are taken.
        num_held_out: Positive integer, likewise.

    Raises:
        UserError: as in `find_images`.
    """
    if not _is_split(location, config):
        reference = find_images(location, config, num_reference)
        source = open_source(config)
        split = held_out_split(source, config.split)
    else:
        source = _open_split(location, config)
        split = held_out_split(source, f"{config.split}+{location}")
        own = _of_split(config, location)
        if split is None and overlaps(location, config.split):
            reference = _without_held_out(own, config, source, num_reference)
        else:
            reference = _from_source(own, source, num_reference)
    if split is None:
        return reference, _held_out_part(config, num_held_out)
    return reference, find_images(split, config, num_held_out)


def _is_split(location: str, config: Config) -> bool:
    """Returns whether a location is a split, not a file or folder."""
    path = Path(location)
    if location == config.split or not (path.suffix == ".npz" or path.is_dir()):
        return True
    return path.is_dir() and location in open_source(config).splits()


def _of_split(config: Config, split: str) -> Config:
    # The images are chosen independently of the run's seed.
    return dataclasses.replace(config, split=split, seed=0)


def _open_split(split: str, config: Config) -> Source:
    source = open_source(_of_split(config, split))
    if split != config.split and not source.splits():
        raise UserError(
            f"{split} is not a file or folder, and {config.dataset} has no splits "
            "to choose from"
        )
    return source


def _from_source(config: Config, source: Source, num_images: int | None) -> ImageSet:
    config = _of_split(config, config.split)
    total, _ = source.pictures()

    def read_labels(count: int) -> np.ndarray | None:
        return _read_labels(source, choose(total, min(count, total), config.seed))

    return ImageSet(
        _describe(config, source),
        {**describe_data(config, source), "num_images": num_images},
        lambda: _in_chunks(*load_images(config, num_images)),
        min(total, num_images or total),
        read_labels,
    )


def _without_held_out(
    config: Config, training: Config, source: Source, num_images: int
) -> ImageSet:
    """Returns images of a source that are not held out of the training split."""
    whole = _from_source(config, source, None)
    total = whole.num_images or 0
    held_out = count_held_out(total)

    def load() -> LoadedImages:
        images, labels = load_images(config, num_images + held_out)
        kept = find_others(images, load_held_out(training).images)
        if not len(kept):
            raise UserError(f"{whole.name} has no images but the held-out ones")
        kept = kept[choose(len(kept), min(num_images, len(kept)), config.seed)]
        return _in_chunks(images[kept], labels[kept])

    def read_labels(count: int) -> np.ndarray | None:
        drawn = choose(total, min(count + held_out, total), config.seed)
        if config.split == training.split:
            drawn = np.setdiff1d(drawn, held_out_indices(total))
        kept = choose(len(drawn), min(count, len(drawn)), config.seed)
        return _read_labels(source, drawn[kept])

    return ImageSet(
        f"{whole.name}, without held-out images",
        {**describe_data(config, source), "held_out_of": training.split}
        | {"num_images": num_images},
        load,
        min(total - held_out, num_images),
        read_labels,
    )


def _held_out_part(config: Config, num_images: int) -> ImageSet:
    config = _of_split(config, config.split)
    source = open_source(config)
    total, _ = source.pictures()

    def load() -> LoadedImages:
        images, labels = load_held_out(config)
        chosen = choose(len(images), min(num_images, len(images)), config.seed)
        return _in_chunks(images[chosen], labels[chosen])

    return ImageSet(
        f"held-out images of {_describe(config, source)}",
        {**describe_data(config, source), "part": "held-out", "num_images": num_images},
        load,
        min(count_held_out(total), num_images),
    )


def _describe(config: Config, source: Source) -> str:
    crop = describe_crop(config.crop_size)
    return f"{source.description}{crop}, at {config.image_size} px"


def _read_labels(source: Source, indices: np.ndarray) -> np.ndarray | None:
    if not source.class_names():
        return None
    _, pictures = source.pictures()
    labels = np.array([picture.label for picture in pictures], np.int32)[indices]
    return None if (labels < 0).any() else labels


def _in_chunks(images: np.ndarray, labels: np.ndarray | None) -> LoadedImages:
    if labels is not None and (labels < 0).any():
        labels = None
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    return LoadedImages(len(images), labels, chunks)


def _load_file(
    path: Path, config: Config, num_images: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    arrays = load_arrays(path)
    if "images" not in arrays:
        raise UserError(
            f"{path} has no array 'images', only {', '.join(arrays) or 'nothing'}"
        )
    images, labels = arrays["images"], arrays.get("labels")
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
