"""Decodes the images of a source, all at once, at the training size."""

import contextlib
import functools
import itertools
import math
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from sagan_tf.arrays import fits_memory
from sagan_tf.config import Config
from sagan_tf.data.preprocessing import prepare_image
from sagan_tf.data.sources import Folder, Picture, Source, open_source
from sagan_tf.errors import UserError
from sagan_tf.text import printable

# Pillow's, raised between its limit of pixels and twice that, and above.
_BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
# Pictures of more pixels are decoded one after the other: in all threads at once they
# could exhaust the memory.
_LARGE = 2**24
_one_at_a_time = threading.Lock()


class LoadedData(NamedTuple):
    """The images of a data set at its training size.

    Attributes:
        images: uint8 `[N, image_size, image_size, channels]`.
        labels: int32 `[N]`, -1 without a class.
        names: Of a folder, the path of each image relative to it, with forward slashes;
            otherwise empty.
        skipped: A line with name and reason for each file that is no readable image.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    skipped: list[str]


def load_images(
    config: Config, num_images: int | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Loads the images and labels of a data set, as `load_data` does.

    Args:
        config: `Config`.
        num_images: As in `load_data`.
        download: As in `load_data`.

    Returns:
        Images and labels of `LoadedData`.

    Raises:
        UserError: as `load_data` does.
    """
    loaded = load_data(config, num_images, download)
    return loaded.images, loaded.labels


def load_data(
    config: Config, num_images: int | None = None, download: bool = True
) -> LoadedData:
    """Loads a data set at its training size.

    Pictures that cannot be read are skipped. A warning counts them and names at most
    ten.

    Args:
        config: `Config`.
        num_images: Positive integer. Of a larger set only this many are loaded, drawn
            by `config.seed`, in the set's order. The default is all.
        download: Boolean, whether a missing data set is downloaded.

    Returns:
        `LoadedData`.

    Raises:
        UserError: if the data set is missing or damaged, has no readable image, or fits
            neither memory nor disk.
    """
    source = open_source(config, download)
    count, pictures = source.pictures()
    if num_images is not None and num_images < count:
        chosen = set(choose(count, num_images, config.seed).tolist())
        pictures = (p for index, p in enumerate(pictures) if index in chosen)
        count = num_images
    images = _allocate((count, config.image_size, config.image_size, config.channels))
    labels = np.empty(count, np.int32)
    names, skipped = [], list(source.skipped)
    kept = 0
    with _pillow_warnings():
        for picture, result in tqdm(
            _map_in_threads(functools.partial(_prepare, config), pictures),
            total=count,
            desc=f"Loading {source.description}",
            unit=" images",
            delay=2,
            leave=False,
            disable=None,  # without a terminal
        ):
            if isinstance(result, str):
                skipped.append(result)
                continue
            if kept == count:
                raise UserError(f"{source.description} has more than {count} images")
            images[kept], labels[kept] = result, picture.label
            names.append(picture.name)
            kept += 1
    _warn_of(skipped, source)
    if not kept:
        raise UserError(
            f"None of the {count} images of {source.description} can be read"
        )
    names = names if isinstance(source, Folder) else []
    return LoadedData(images[:kept], labels[:kept], names, skipped)


def _prepare(config: Config, picture: Picture) -> np.ndarray | str:
    """Returns a picture's image, or a line on why it cannot be read."""
    try:
        with picture.open() as opened, _memory_for(opened):
            return prepare_image(
                opened, config.image_size, config.channels, config.crop_size
            )
    except Exception as error:  # damaged files fail in many ways
        return printable(f"{picture.name} ({_reason(error)})")


@contextlib.contextmanager
def _pillow_warnings() -> Iterator[None]:
    """Hides warnings of damaged tags, and makes those of huge pictures exceptions."""
    # Around all threads: the filters belong to the process.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        yield


def _memory_for(picture: Image.Image) -> contextlib.AbstractContextManager:
    large = picture.width * picture.height > _LARGE
    return _one_at_a_time if large else contextlib.nullcontext()


def _reason(error: Exception) -> str:
    if isinstance(error, _BOMBS):
        return f"too large: more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _warn_of(skipped: list[str], source: Source) -> None:
    if skipped:
        shown = "; ".join(skipped[:10])
        more = f"; and {len(skipped) - 10} more" if len(skipped) > 10 else ""
        logging.warning(
            "Skipped %d unreadable of %s: %s%s",
            len(skipped),
            source.description,
            shown,
            more,
        )


def load_attributes(config: Config, num_images: int | None = None) -> np.ndarray | None:
    """Loads the attributes of the images that `load_images` loads.

    Args:
        config: `Config`.
        num_images: As in `load_images`.

    Returns:
        int32 `[N, attributes]` of 0 and 1, or None if the data set has none.
    """
    attributes = open_source(config).attributes()
    if attributes is None or num_images is None or num_images >= len(attributes):
        return attributes
    return attributes[choose(len(attributes), num_images, config.seed)]


def choose(count: int, num_images: int, seed: int) -> np.ndarray:
    """Draws `num_images` indices below `count`; int `[num_images]`, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, num_images, replace=False))


def _allocate(shape: tuple[int, ...]) -> np.ndarray:
    """Returns a uint8 array: in memory, or on disk if it would fill half the memory."""
    size = math.prod(shape)
    if fits_memory(size):
        return np.empty(shape, np.uint8)
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    if size > free:
        raise UserError(
            f"{shape[0]} images take {size / 2**30:.0f} GiB, more than half the "
            f"memory, and {directory} has only {free / 2**30:.0f} GiB free. Set TMPDIR "
            "to a larger disk, or train on fewer or smaller images"
        )
    # The mapping stays valid after the file is closed and deleted.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _map_in_threads(
    function: Callable, items: Iterable, chunk: int = 64
) -> Iterator[tuple[Any, Any]]:
    """Yields `(item, function(item))` in order, with a few chunks in memory."""
    items = iter(items)
    workers = os.cpu_count() or 1
    has_ended = threading.Event()  # after an interruption, at the next picture

    def work(batch: list[Any]) -> list[tuple[Any, Any]]:
        return [(item, function(item)) for item in batch if not has_ended.is_set()]

    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting := list(itertools.islice(items, chunk * workers)):
                starts = range(0, len(waiting), chunk)
                for results in pool.map(work, (waiting[i : i + chunk] for i in starts)):
                    yield from results
        finally:
            has_ended.set()
