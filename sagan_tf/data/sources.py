"""Where images come from: a TensorFlow Datasets name, a folder, built-in digits."""

import dataclasses
import io
import itertools
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from absl import logging
from PIL import Image
from tqdm import tqdm

from sagan_tf.data.preprocessing import prepare_image
from sagan_tf.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


class Picture(NamedTuple):
    """An image that is not yet decoded.

    Attributes:
        name: What to call it in a message.
        open: Function without arguments that gives a `PIL.Image.Image`.
        label: Integer class, or -1.
    """

    name: str
    open: Callable
    label: int


def load_images(config, num_images=None, download=True):
    """Loads a data set at its training size.

    Pictures that cannot be read are skipped, counted and named in a warning.

    Args:
        config: `Config`.
        num_images: Positive integer; of a larger set only this many are loaded, drawn
            by `config.seed`, in the set's order. By default all.
        download: Boolean, whether a TensorFlow Datasets set is downloaded that is not
            there yet.

    Returns:
        Images, uint8 `[N, image_size, image_size, channels]`, and labels, int32
        `[N]`, -1 where the set has none.

    Raises:
        UserError: if the set is not there, holds no readable image, or fits neither
            memory nor disk.
    """
    count, pictures = _find_pictures(config, download)
    if num_images is not None and num_images < count:
        chosen = set(choose(count, num_images, config.seed).tolist())
        pictures = (p for place, p in enumerate(pictures) if place in chosen)
        count = num_images
    shape = (count, config.image_size, config.image_size, config.channels)
    images = _allocate(shape)
    labels = np.empty(count, np.int32)

    def prepare(picture):
        try:
            with picture.open() as opened:
                return prepare_image(
                    opened, config.image_size, config.channels, config.crop_size
                )
        except (
            *(OSError, ValueError, SyntaxError),
            Image.DecompressionBombError,
        ) as error:
            return f"{picture.name} ({error})"

    kept, unreadable = 0, []
    progress = tqdm(
        _in_threads(prepare, pictures),
        total=count,
        desc=f"Loading {config.dataset}",
        unit=" images",
        delay=2,
        leave=False,
    )
    for picture, result in progress:
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
        raise UserError(f"None of the {count} images of {config.dataset} can be read")
    print(f"{kept:,} images of {config.dataset}, {images.shape[1]} px")
    return images[:kept], labels[:kept]


def choose(count, num_images, seed):
    """Draws `num_images` places below `count`; int `[num_images]`, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, num_images, replace=False))


def load_attributes(config, num_images=None):
    """Loads what a TensorFlow Datasets set says of its images, as CelebA does.

    Args:
        config: `Config`.
        num_images: Those of the images that `load_images` would load.

    Returns:
        int32 `[N, attributes]` of 0 and 1, or None if the set has no `attributes`.
    """
    if config.dataset in ("digits", "folder"):
        return None
    import tensorflow_datasets as tfds

    builder = _tfds_builder(config.dataset, config.data_dir)
    if "attributes" not in builder.info.features:
        return None
    examples = builder.as_dataset(
        split=config.split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding({"attributes": True}),
    ).batch(1024)
    batches = (batch["attributes"] for batch in examples.as_numpy_iterator())
    attributes = np.concatenate(
        [np.stack([batch[name] for name in sorted(batch)], -1) for batch in batches]
    ).astype(np.int32)
    if num_images is not None and num_images < len(attributes):
        attributes = attributes[choose(len(attributes), num_images, config.seed)]
    return attributes


def describe_source(config):
    """What tells the pictures and labels of a data set from those of another.

    A folder is known by its files' names, sizes and times of change, and by its
    classes; a set of TensorFlow Datasets by its version, its bytes, and how many
    examples its split has.

    Args:
        config: `Config`.

    Returns:
        What JSON can hold.

    Raises:
        UserError: if the set is not there.
    """
    if config.dataset == "digits":
        return "digits"
    if config.dataset == "folder":
        root, paths = _folder_paths(config.data_dir)
        files = [
            (path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns)
            for path, stat in ((path, path.stat()) for path in paths)
        ]
        classes = config.num_classes and config.classes
        return [classes or _folder_classes(root, paths), files]
    builder = _tfds_builder(config.dataset, config.data_dir)
    _prepare(builder, config.dataset, config.data_dir)
    split = _find_split(builder, config.dataset, config.split)
    version, size = str(builder.info.version), int(builder.info.dataset_size)
    return [version, size, config.split, split.num_examples]


def list_splits(config):
    """The data set's splits and how many examples each has, a dict; may be empty."""
    if config.dataset in ("digits", "folder"):
        return {}
    splits = _tfds_builder(config.dataset, config.data_dir).info.splits
    return {name: split.num_examples for name, split in splits.items()}


def take_first(config, num_images):
    """The config with its split cut to the first examples, where it can be cut.

    Some drawn at random are no better to look at, and all of a set of TensorFlow
    Datasets, which are shuffled, has to be read for them.

    Args:
        config: `Config`.
        num_images: Positive integer.
    """
    if num_images >= list_splits(config).get(config.split, 0):
        return config
    return dataclasses.replace(config, split=f"{config.split}[:{num_images}]")


def with_classes(config, download=True):
    """The config with the names of its data set's classes, if it is conditional.

    Names that are there already are left alone.

    Args:
        config: `Config`.
        download: Boolean, whether a TensorFlow Datasets set is downloaded that is not
            there yet. Without, the names of some are not known, and their numbers
            stand for them.

    Raises:
        UserError: if the set has no classes, or one only, or is not there.
    """
    if not config.conditional or config.classes:
        return config
    if config.dataset == "digits":
        names = tuple("0123456789")
    elif config.dataset == "folder":
        names = _folder_classes(*_folder_paths(config.data_dir))
    else:
        builder = _tfds_builder(config.dataset, config.data_dir)
        if download and _has_label(builder.info.features):
            _prepare(builder, config.dataset, config.data_dir)
        features = builder.info.features
        names = features["label"].names if _has_label(features) else ()
    if len(names) < 2:
        found = f"the one class {names[0]}" if names else "no classes"
        raise UserError(
            f"{config.dataset} has {found}, and conditional networks need two or more. "
            "Give a folder with one sub-folder a class, or --noconditional"
        )
    return dataclasses.replace(config, classes=tuple(names))


def _allocate(shape):
    """A uint8 array: in memory, or on disk where it would fill half the memory."""
    size = math.prod(shape)
    if size <= psutil.virtual_memory().total / 2:
        return np.empty(shape, np.uint8)
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    if size > free:
        raise UserError(
            f"{shape[0]} images take {size / 2**30:.0f} GiB, more than "
            f"half the memory, and {directory} has only {free / 2**30:.0f} GiB free. "
            "Set TMPDIR to a larger disk, or train on fewer or smaller images"
        )
    # The mapping outlives the file's name and handle, and goes when it is dropped.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _find_pictures(config, download):
    """The number of a data set's pictures, and an iterable of them."""
    if config.dataset == "digits":
        return _digits()
    if config.dataset == "folder":
        return _folder(config)
    return _tfds(config.dataset, config.split, config.data_dir, download)


def _digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 8x8, in 0..16, and drawn to the very edge.
    images = np.uint8(np.round(digits.images * (255 / 16)))
    images = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    pictures = (
        Picture(f"digit {i}", lambda image=image: Image.fromarray(image), int(label))
        for i, (image, label) in enumerate(zip(images, digits.target, strict=True))
    )
    return len(images), pictures


def _folder(config):
    root, paths = _folder_paths(config.data_dir)
    folders = _folder_classes(root, paths)
    # Once the classes are known, a folder is the class of its name, whatever others
    # have come or gone since.
    classes = config.classes if config.num_classes else folders
    unknown = sorted(set(folders) - set(classes))
    if unknown:
        raise UserError(
            f"{root} has sub-folders that are none of the run's classes: "
            f"{', '.join(unknown[:10])}. Its classes are {', '.join(classes[:10])}"
        )
    labels = {name: label for label, name in enumerate(classes)}

    def label(path):
        return -1 if path.parent == root else labels[path.relative_to(root).parts[0]]

    pictures = (
        Picture(str(path), lambda path=path: Image.open(path), label(path))
        for path in paths
    )
    return len(paths), pictures


def _folder_paths(data_dir):
    if data_dir is None:
        raise UserError("--dataset=folder needs --data_dir=DIR, the folder of images")
    root = Path(data_dir)
    if not root.is_dir():
        raise UserError(f"--data_dir={data_dir} is not a folder")
    paths = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not paths:
        raise UserError(
            f"There are no images in {data_dir}. Looked for "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}, there and in its sub-folders"
        )
    return root, paths


def _folder_classes(root, paths):
    """One sub-folder a class; pictures beside the sub-folders have none."""
    first_parts = {path.relative_to(root).parts[0] for path in paths}
    return sorted(first_parts - {path.name for path in paths if path.parent == root})


def _tfds_builder(name, data_dir):
    if data_dir and "://" not in data_dir and not Path(data_dir).is_dir():
        raise UserError(
            f"--data_dir={data_dir} is not a folder. Make it first, if {name} is to be "
            "downloaded there"
        )
    # Slow to import, and needed here alone.
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"TensorFlow Datasets has no set named {name!r}") from None
    except ValueError as error:  # a set of this name, but not this variant of it
        raise UserError(f"{name}: {str(error).splitlines()[0]:.200}") from None
    features = builder.info.features
    if "image" not in features or not isinstance(
        features["image"], tfds.features.Image
    ):
        raise UserError(f"The TensorFlow Datasets set {name!r} has no single image")
    return builder


def _has_label(features):
    import tensorflow_datasets as tfds

    return "label" in features and isinstance(
        features["label"], tfds.features.ClassLabel
    )


def _prepare(builder, name, data_dir):
    where = data_dir or "~/tensorflow_datasets"
    try:
        builder.download_and_prepare()
    # Whatever a download can end with (no network, a quota page in place of an
    # archive, a full disk), the user needs the one line that follows.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else error
        raise UserError(
            f"{name} is not in {where} and could not be downloaded "
            f"({type(error).__name__}: {reason:.200}). Give --data_dir=DIR where it is "
            "prepared, or unpack its images and use --dataset=folder --data_dir=DIR"
        ) from error


def _tfds(name, split, data_dir, download):
    import tensorflow_datasets as tfds

    builder = _tfds_builder(name, data_dir)
    if download:
        _prepare(builder, name, data_dir)
    elif not builder.is_prepared():
        raise UserError(f"{name} is not in {data_dir or '~/tensorflow_datasets'}")
    count = _find_split(builder, name, split).num_examples
    wanted = {"image", "label"} if _has_label(builder.info.features) else {"image"}
    examples = builder.as_dataset(
        split=split,
        shuffle_files=False,
        # The other features (CelebA has 45) would cost more to read than the image.
        decoders=tfds.decode.PartialDecoding(
            wanted, decoders={"image": tfds.decode.SkipDecoding()}
        ),
    ).batch(256)

    def pictures():
        places = itertools.count()
        for batch in examples.as_numpy_iterator():
            labels = batch.get("label", itertools.repeat(-1))
            for encoded, label in zip(batch["image"], labels, strict=False):
                yield Picture(
                    f"{name} {split} {next(places)}",
                    lambda encoded=encoded: Image.open(io.BytesIO(encoded)),
                    int(label),
                )

    return count, pictures()


def _find_split(builder, name, split):
    try:
        return builder.info.splits[split]  # "train[:1000]" as well
    except (KeyError, ValueError):
        raise UserError(
            f"{name} has no split {split!r}, only {', '.join(builder.info.splits)}"
        ) from None


def _in_threads(function, items, chunk=64):
    """Yields (item, function(item)) in order, a few chunks of items in memory."""
    items = iter(items)
    workers = os.cpu_count()

    def work(batch):
        return [(item, function(item)) for item in batch]

    with ThreadPoolExecutor(workers) as pool:
        while waiting := list(itertools.islice(items, chunk * workers)):
            batches = [waiting[i : i + chunk] for i in range(0, len(waiting), chunk)]
            for results in pool.map(work, batches):
                yield from results
