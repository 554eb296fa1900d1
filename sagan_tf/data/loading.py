"""Loads the images of a data set: all, or a part drawn at random."""

import functools
import zlib

import numpy as np
from absl import logging

from sagan_tf.config import Config
from sagan_tf.data.decoding import decode
from sagan_tf.data.prepared import LoadedData, open_prepared, prepare
from sagan_tf.data.sources import Files, Source, open_source
from sagan_tf.errors import UserError
from sagan_tf.text import count


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
    loaded.verify()
    return loaded.images, loaded.labels


def load_data(
    config: Config, num_images: int | None = None, download: bool = True
) -> LoadedData:
    """Loads a data set at its training size.

    All images are prepared in the cache once, and opened there from then on. A number
    of images is taken from there too; if they are not prepared, only these are decoded.
    Pictures that cannot be read are skipped. A warning counts them and names at most
    ten.

    Args:
        config: `Config`.
        num_images: Positive integer. Of a larger set only this many are loaded, drawn
            by `config.seed`, in the set's order. The default is to prepare all.
        download: Boolean, whether a missing data set is downloaded.

    Returns:
        `LoadedData`.

    Raises:
        UserError: if the data set is missing or damaged, has no readable image, or does
            not fit the disk.
    """
    source = open_source(config, download)
    if num_images is None:
        loaded = prepare(config, source)
    else:
        loaded = _load_part(config, source, num_images)
    _warn_of_skipped(loaded)
    return loaded


def _load_part(config: Config, source: Source, num_images: int) -> LoadedData:
    total, pictures = source.pictures()
    num_images = min(num_images, total)
    chosen = choose(total, num_images, config.seed)
    if (whole := open_prepared(config, source)) is not None:
        return _take_part(whole, chosen, source)
    wanted = set(chosen.tolist())
    drawn = (picture for index, picture in enumerate(pictures) if index in wanted)
    decoded = decode(config, drawn, source.description, num_images)
    images, labels, positions, names, skipped = [], [], [], [], [*source.skipped]
    for position, (picture, result) in zip(chosen, decoded, strict=False):
        if isinstance(result, str):
            skipped.append(result)
            continue
        images.append(result)
        labels.append(picture.label)
        positions.append(position)
        names.append(picture.name)
    if not images:
        raise UserError(
            f"No image of {source.description} can be read: {'; '.join(skipped[:3])}"
        )
    return LoadedData(
        np.stack(images),
        np.array(labels, np.int32),
        np.array([zlib.crc32(image.data) for image in images], np.uint32),
        np.array(positions, np.int64),
        names if isinstance(source, Files) else [],
        skipped,
        source.description,
    )


def _take_part(whole: LoadedData, chosen: np.ndarray, source: Source) -> LoadedData:
    indices = np.flatnonzero(np.isin(whole.positions, chosen, assume_unique=True))
    images, labels = whole.take(indices)
    # A line for each picture without an image, in their order.
    unreadable = whole.skipped[len(source.skipped) :]
    num_pictures = len(whole.positions) + len(unreadable)
    missing = np.setdiff1d(np.arange(num_pictures), whole.positions)
    drawn = np.isin(missing, chosen, assume_unique=True)
    skipped = [line for line, own in zip(unreadable, drawn, strict=True) if own]
    return whole._replace(
        images=images,
        labels=labels,
        checksums=whole.checksums[indices],
        positions=whole.positions[indices],
        names=[whole.names[index] for index in indices] if whole.names else [],
        skipped=[*source.skipped, *skipped],
        sha256=None,
        path=None,
    )


def _warn_of_skipped(loaded: LoadedData) -> None:
    skipped = loaded.skipped
    if skipped:
        shown = "; ".join(skipped[:10])
        more = f"; and {len(skipped) - 10} more" if len(skipped) > 10 else ""
        files = count(len(skipped), "file")
        _warn_once(f"Skipped {files} of {loaded.description}: {shown}{more}")


@functools.cache
def _warn_once(message: str) -> None:
    # A command may load the same images for several purposes.
    logging.warning("%s", message)


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
