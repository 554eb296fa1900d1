"""Decodes pictures at the training size, in threads."""

import contextlib
import functools
import itertools
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from sagan_tf.config import Config
from sagan_tf.data.preprocessing import prepare_image
from sagan_tf.data.sources import Picture
from sagan_tf.data.sources.base import is_supported
from sagan_tf.text import printable

# Pillow's, raised between its limit of pixels and twice that, and above.
_BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
# Pictures of more pixels are decoded one after the other: in all threads at once they
# could exhaust the memory.
_LARGE = 2**24
_one_at_a_time = threading.Lock()


def decode(
    config: Config, pictures: Iterable[Picture], description: str, total: int
) -> Iterator[tuple[Picture, np.ndarray | str]]:
    """Decodes pictures, with a progress bar.

    Args:
        config: `Config`.
        pictures: Iterable of `Picture`s.
        description: What the progress bar calls them.
        total: Integer, their number.

    Yields:
        Each picture in its order, and its image, uint8 `[image_size, image_size,
        channels]`, or a line on why it cannot be read.
    """
    with _pillow_warnings():
        yield from tqdm(
            _map_in_threads(functools.partial(_prepare, config), pictures),
            total=total,
            desc=f"Loading {description}",
            unit=" images",
            delay=2,
            leave=False,
            disable=None,  # without a terminal
        )


def _prepare(config: Config, picture: Picture) -> np.ndarray | str:
    """Returns a picture's image, or a line on why it cannot be read."""
    try:
        with picture.open() as opened, _memory_for(opened):
            return prepare_image(
                opened, config.image_size, config.channels, config.crop_size
            )
    except Exception as error:  # damaged files fail in many ways
        return printable(f"{picture.name} ({_reason(error, picture.name)})")


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


def _reason(error: Exception, name: str) -> str:
    if isinstance(error, _BOMBS):
        return f"too large: more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        if is_supported(name):
            return "not an image"
        return "not supported: convert it to JPEG or PNG"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


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
