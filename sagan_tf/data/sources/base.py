"""What all sources of images share."""

import functools
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from sagan_tf.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# Pictures that are skipped with a warning instead of being left out without a word.
UNSUPPORTED_SUFFIXES = frozenset(
    {".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".tga"}
    | {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"}
)
# Whatever a file is named, Pillow looks at its content, and it would let Ghostscript
# execute one in PostScript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class Picture(NamedTuple):
    """An image that is not yet decoded.

    Attributes:
        name: What messages call it: of a file, its path relative to the folder, with
            forward slashes.
        open: Function without arguments that returns a `PIL.Image.Image`.
        label: Integer, its class, or -1.
    """

    name: str
    open: Callable[[], Image.Image]
    label: int


class Source:
    """The images of a data set, and what is known of them.

    Attributes:
        description: String, what messages and protocols call it.
        skipped: What was found in place of images, and why it is none: a list of lines.
    """

    description: str

    @property
    def skipped(self) -> list[str]:
        return []

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        """Returns the number of pictures, and the pictures in their order.

        Raises:
            UserError: if the data set is missing.
        """
        raise NotImplementedError

    def class_names(self) -> tuple[str, ...]:
        """Returns the names of the classes in the order of their labels, maybe none."""
        raise NotImplementedError

    def fingerprint(self) -> Any:
        """Returns what identifies the images and labels, for JSON."""
        raise NotImplementedError

    def splits(self) -> dict[str, int]:
        """Returns the number of pictures in each split; empty without splits."""
        return {}

    def attributes(self) -> np.ndarray | None:
        """Returns binary attributes, int32 `[N, attributes]` of 0 and 1, or None."""
        return None


class Files(Source):
    """Image files by name. Directories of the first level are classes.

    A subclass has the names of its files, sorted, and opens them.

    Args:
        classes: Names of directories in the order of their labels. The default is the
            directories that there are.
    """

    def __init__(self, classes: tuple[str, ...] = ()):
        self.classes = classes

    @property
    def names(self) -> list[str]:
        """The files' paths, relative to the whole, with forward slashes."""
        raise NotImplementedError

    def open_file(self, index: int) -> Image.Image:
        """Opens one of the files as an image."""
        raise NotImplementedError

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        # A run keeps the labels of its classes whatever directories are added later.
        found = self.class_names()
        classes = self.classes or found
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise UserError(
                f"{self.description} has sub-folders that are not classes of the run: "
                f"{', '.join(unknown[:10])}. Its classes are {', '.join(classes[:10])}"
            )
        labels = {name: label for label, name in enumerate(classes)}
        pictures = (
            Picture(
                name,
                functools.partial(self.open_file, index),
                labels.get(_directory(name), -1),
            )
            for index, name in enumerate(self.names)
        )
        return len(self.names), pictures

    def class_names(self) -> tuple[str, ...]:
        # Pictures beside the directories have no class, and directories without one
        # that can be read are none.
        directories = {_directory(name) for name in self.names if is_supported(name)}
        return tuple(sorted(directories - {""}))


def _directory(name: str) -> str:
    """Returns a path's directory of the first level, or `""` without one."""
    return name.partition("/")[0] if "/" in name else ""


def is_picture(name: str) -> bool:
    """Returns whether a file has the suffix of a picture, supported or not."""
    return is_supported(name) or _suffix(name) in UNSUPPORTED_SUFFIXES


def is_supported(name: str) -> bool:
    """Returns whether a file has the suffix of a picture that can be read."""
    return _suffix(name) in IMAGE_SUFFIXES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def open_encoded(encoded: bytes) -> Image.Image:
    """Opens the bytes of an image file."""
    return Image.open(io.BytesIO(encoded), formats=FORMATS)


def mode_problem(mode: int) -> str:
    """Returns why something of this mode cannot be read as a file, or `""`."""
    # Opening a pipe would wait for ever.
    return "" if stat.S_ISREG(mode) else "not a regular file"


def file_problem(path: Path) -> str:
    """Returns why a path cannot be read as a file, or `""`."""
    try:
        return mode_problem(path.stat().st_mode)
    except OSError as error:  # such as a broken link
        return error.strerror or str(error)
