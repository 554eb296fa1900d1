"""Where images come from: built-in digits, folders, archives, TensorFlow Datasets.

All sources have the methods of `Source`. A new source is a class in a file of its own
and a line in `open_source`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from sagan_tf.cache import digest
from sagan_tf.config import Config
from sagan_tf.data.sources.archive import Archive
from sagan_tf.data.sources.base import Files, Picture, Source
from sagan_tf.data.sources.digits import Digits
from sagan_tf.data.sources.folder import Folder
from sagan_tf.data.sources.tfds import TFDS
from sagan_tf.errors import UserError

__all__ = [
    "TFDS",
    "Archive",
    "Digits",
    "Files",
    "Folder",
    "Picture",
    "Source",
    "describe_data",
    "open_source",
    "take_first",
    "with_classes",
]


def open_source(config: Config, download: bool = True) -> Source:
    """Returns the source of a config's images.

    Args:
        config: `Config`.
        download: Boolean, whether a missing data set is downloaded when it is needed.

    Raises:
        UserError: if there is no such data set.
    """
    if config.dataset == "digits":
        if config.data_dir:
            raise UserError(
                f"The digits are built in and not read from {config.data_dir}. To "
                "train on images there: --dataset=folder --data_dir=DIR"
            )
        return Digits()
    classes = config.classes if config.num_classes else ()
    if config.data_dir and Path(config.data_dir).is_file():
        return Archive(config.data_dir, classes)
    if config.dataset == "folder":
        return Folder(config.data_dir, classes)
    return TFDS(config.dataset, config.split, config.data_dir, download)


def describe_data(config: Config, source: Source) -> dict[str, Any]:
    """Returns everything that decides the images and labels of a config, for JSON.

    Args:
        config: `Config`.
        source: Its `Source`.
    """
    names = ("dataset", "image_size", "channels", "crop_size")
    described = {name: getattr(config, name) for name in names}
    return {**described, "source": digest(source.fingerprint())}


def with_classes(config: Config, download: bool = True) -> Config:
    """Returns the config with the class names of its data, if it is conditional.

    Names that are given already are kept.

    Args:
        config: `Config`.
        download: Boolean; see `open_source`.

    Raises:
        UserError: if the data set is missing, or has no classes or only one.
    """
    if not config.conditional or config.classes:
        return config
    source = open_source(config, download)
    names = source.class_names()
    if len(names) < 2:
        found = f"the one class {names[0]}" if names else "no classes"
        is_deep = isinstance(source, Files) and any("/" in n for n in source.names)
        if is_deep and not names:
            found += ", as no picture in its sub-folders can be read"
        raise UserError(
            f"{source.description} has {found}, and conditional networks need two or "
            "more. Give a folder, or an archive, with one sub-folder per class, or "
            "--noconditional"
        )
    return dataclasses.replace(config, classes=names)


def take_first(config: Config, num_images: int) -> Config:
    """Returns the config with its split cut to its first images, if it has splits.

    TFDS splits are already shuffled; the first images avoid reading the whole split.

    Args:
        config: `Config`.
        num_images: Positive integer.
    """
    splits = open_source(config).splits()
    if num_images >= splits.get(config.split, 0):
        return config
    return dataclasses.replace(config, split=f"{config.split}[:{num_images}]")
