"""Decodes the images of a source, all at once, at the training size."""

import itertools
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import psutil
from absl import logging
from PIL import Image
from tqdm import tqdm

from sagan_tf.config import Config
from sagan_tf.data.preprocessing import prepare_image
from sagan_tf.data.sources import Picture, open_source
from sagan_tf.errors import UserError

_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class LoadedData(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    skipped: list[str]


def load_data(config, num_images=None, download=True) -> LoadedData:
    images, labels = load_images(config, num_images, download)
    return LoadedData(images, labels, [], [])


def load_images(
    config: Config, num_images: int | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Loads a data set at its training size.

    Pictures that cannot be read are skipped, and a warning counts and names them.

    Args:
        config: `Config`.
        num_images: Positive integer. Of a larger set only this many are loaded, drawn
            by `config.seed`, in the set's order. The default is all.
        download: Boolean, whether a missing data set is downloaded.

    Returns:
        Images, uint8 `[N, image_size, image_size, channels]`, and labels, int32 `[N]`,
        -1 without a class.

    Raises:
        UserError: if the data set is missing, has no readable image, or fits neither
            memory nor disk.
    """
    source = open_source(config, download)
    count, pictures = source.pictures()
    if num_images is not None and num_images < count:
        chosen = set(choose(count, num_images, config.seed).tolist())
        pictures = (p for index, p in enumerate(pictures) if index in chosen)
        count = num_images
    images = _allocate((count, config.image_size, config.image_size, config.channels))
    labels = np.empty(count, np.int32)

    def prepare(picture: Picture) -> Any:
        try:
            with picture.open() as opened:
                return prepare_image(
                    opened, config.image_size, config.channels, config.crop_size
                )
        except _UNREADABLE as error:
            return f"{picture.name} ({error})"

    kept, unreadable = 0, []
    for picture, result in tqdm(
        _map_in_threads(prepare, pictures),
        total=count,
        desc=f"Loading {source.description}",
        unit=" images",
        delay=2,
        leave=False,
        disable=None,  # without a terminal
    ):
        if isinstance(result, str):
            unreadable.append(result)
            continue
        images[kept], labels[kept] = result, picture.label
        kept += 1
    if unreadable:
        shown = "; ".join(unreadable[:10])
        more = f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        logging.warning("Skipped %d unreadable: %s%s", len(unreadable), shown, more)
    if not kept:
        raise UserError(
            f"None of the {count} images of {source.description} can be read"
        )
    noun = "image" if kept == 1 else "images"
    print(f"{kept:,} {noun} of {source.description}, {config.image_size} px")
    return images[:kept], labels[:kept]


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
    if size <= psutil.virtual_memory().total / 2:
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

    def work(batch: list[Any]) -> list[tuple[Any, Any]]:
        return [(item, function(item)) for item in batch]

    with ThreadPoolExecutor(workers) as pool:
        while waiting := list(itertools.islice(items, chunk * workers)):
            batches = [waiting[i : i + chunk] for i in range(0, len(waiting), chunk)]
            for results in pool.map(work, batches):
                yield from results
