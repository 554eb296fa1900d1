"""Where images come from: built-in digits, a folder, or TensorFlow Datasets.

All sources have the methods of `Source`. A new source is a class here and a line in
`open_source`.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


class Picture(NamedTuple):
    """An image that is not yet decoded.

    Attributes:
        name: What messages call it.
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
    """

    description: str

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


class Digits(Source):
    """The 1,797 handwritten digits of scikit-learn, 8x8 with a border of one."""

    description = "digits"

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        # 8x8, in 0..16, and drawn to the very edge.
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)
        images = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        pictures = (
            Picture(f"digit {i}", functools.partial(Image.fromarray, image), int(k))
            for i, (image, k) in enumerate(zip(images, digits.target, strict=True))
        )
        return len(images), pictures

    def class_names(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def fingerprint(self) -> Any:
        return "digits"


class Folder(Source):
    """Image files in a folder, flat or with one sub-folder per class.

    Args:
        data_dir: The folder.
        classes: Names of sub-folders in the order of their labels. The default is the
            sub-folders that there are.

    Raises:
        UserError: if no folder is given; later, if there is no such folder, or no image
            in it.
    """

    def __init__(self, data_dir: str | None, classes: tuple[str, ...] = ()):
        if data_dir is None:
            raise UserError(
                "--dataset=folder needs --data_dir=DIR, the folder of images"
            )
        self.root, self.description = Path(data_dir), str(data_dir)
        self.classes = classes

    @functools.cached_property
    def paths(self) -> list[Path]:
        """The image files, sorted."""
        if not self.root.is_dir():
            raise UserError(f"--data_dir={self.root} is not a folder")
        paths = sorted(
            path
            for path in self.root.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and not self._is_hidden(path)
        )
        if not paths:
            raise UserError(
                f"There are no images in {self.root}. Looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}, there and in its sub-folders"
            )
        return paths

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        # A run keeps the labels of its classes whatever sub-folders are added later.
        classes = self.classes or self.class_names()
        unknown = sorted(set(self.class_names()) - set(classes))
        if unknown:
            raise UserError(
                f"{self.root} has sub-folders that are not classes of the run: "
                f"{', '.join(unknown[:10])}. Its classes are {', '.join(classes[:10])}"
            )
        labels = {name: label for label, name in enumerate(classes)}
        pictures = (
            Picture(
                str(path),
                functools.partial(Image.open, path),
                -1 if path.parent == self.root else labels[self._first_part(path)],
            )
            for path in self.paths
        )
        return len(self.paths), pictures

    def class_names(self) -> tuple[str, ...]:
        # Pictures beside the sub-folders have no class.
        return tuple(
            sorted({self._first_part(p) for p in self.paths if p.parent != self.root})
        )

    def fingerprint(self) -> Any:
        stats = ((path, path.stat()) for path in self.paths)
        files = [
            (path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime_ns)
            for path, stat in stats
        ]
        return [self.classes or self.class_names(), files]

    def _first_part(self, path: Path) -> str:
        return path.relative_to(self.root).parts[0]

    def _is_hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self.root).parts)


class TFDS(Source):
    """An image set of TensorFlow Datasets.

    Args:
        name: Its name, with or without a config: `"mnist"`, `"lsun/church_outdoor"`.
        split: A split, or a slice of one such as `"train[:1000]"`.
        data_dir: Folder of prepared data sets, or None for `~/tensorflow_datasets`.
        download: Boolean, whether a missing data set is downloaded.

    Raises:
        UserError: if there is no such data set, or it has no single image.
    """

    def __init__(self, name: str, split: str, data_dir: str | None, download: bool):
        if data_dir and "://" not in data_dir and not Path(data_dir).is_dir():
            raise UserError(
                f"--data_dir={data_dir} is not a folder. Create it first to download "
                f"{name} there"
            )
        # Slow to import, and needed here alone.
        import tensorflow_datasets as tfds

        self.name, self.split, self.data_dir = name, split, data_dir
        self.download = download
        self.description = f"{name} {split}"
        self._tfds = tfds
        try:
            self._builder = tfds.builder(name, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError:
            raise UserError(f"TensorFlow Datasets has no set named {name!r}") from None
        except ValueError as error:  # a known data set, but not this config of it
            raise UserError(f"{name}: {str(error).splitlines()[0]:.200}") from None
        if not isinstance(self._feature("image"), tfds.features.Image):
            raise UserError(f"The TensorFlow Datasets set {name!r} has no single image")

    def pictures(self) -> tuple[int, Iterator[Picture]]:
        wanted = {"image", "label"} if self._has_label() else {"image"}
        # The other features (CelebA has 45) would cost more to read than the image.
        skip = {"image": self._tfds.decode.SkipDecoding()}
        batches = self._read(self._tfds.decode.PartialDecoding(wanted, decoders=skip))

        def pictures() -> Iterator[Picture]:
            indices = itertools.count()
            for batch in batches:
                labels = batch.get("label", itertools.repeat(-1))
                for encoded, label in zip(batch["image"], labels, strict=False):
                    yield Picture(
                        f"{self.description} {next(indices)}",
                        functools.partial(_decode, encoded),
                        int(label),
                    )

        return self._num_examples(), pictures()

    def class_names(self) -> tuple[str, ...]:
        # Some names are known only once the data set is prepared. Until then their
        # numbers are used.
        if self._has_label() and self.download:
            self._prepare()
        return tuple(self._feature("label").names) if self._has_label() else ()

    def fingerprint(self) -> Any:
        self._prepare()
        info = self._builder.info
        size = int(info.dataset_size)
        return [str(info.version), size, self.split, self._num_examples()]

    def splits(self) -> dict[str, int]:
        splits = self._builder.info.splits
        return {name: split.num_examples for name, split in splits.items()}

    def attributes(self) -> np.ndarray | None:
        if self._feature("attributes") is None:
            return None
        batches = self._read(self._tfds.decode.PartialDecoding({"attributes": True}))
        rows = [
            np.stack(
                [batch["attributes"][name] for name in sorted(batch["attributes"])]
            )
            for batch in batches
        ]
        return np.concatenate(rows, axis=1).T.astype(np.int32)

    def _feature(self, name: str) -> Any:
        features = self._builder.info.features
        return features[name] if name in features else None

    def _has_label(self) -> bool:
        return isinstance(self._feature("label"), self._tfds.features.ClassLabel)

    def _num_examples(self) -> int:
        try:
            return self._builder.info.splits[self.split].num_examples
        except (KeyError, ValueError):
            raise UserError(
                f"{self.name} has no split {self.split!r}, only "
                f"{', '.join(self._builder.info.splits)}"
            ) from None

    def _read(self, decoding: Any) -> Any:
        self._prepare()
        self._num_examples()  # refuses an unknown split
        with _hidden_warnings():  # TFDS warns of a deprecated property it uses itself
            examples = self._builder.as_dataset(
                split=self.split, shuffle_files=False, decoders=decoding
            )
        return examples.batch(256).as_numpy_iterator()

    def _prepare(self) -> None:
        where = self.data_dir or "~/tensorflow_datasets"
        if not self.download:
            if not self._builder.is_prepared():
                raise UserError(f"{self.name} is not in {where}")
            return
        try:
            self._builder.download_and_prepare()
        # Whatever a download can end with (no network, a quota page instead of an
        # archive, a full disk), the user needs the one line that follows.
        except Exception as error:
            text = str(error).strip()
            reason = text.splitlines()[0] if text else error
            raise UserError(
                f"{self.name} is not in {where} and could not be downloaded "
                f"({type(error).__name__}: {reason:.200}). Give --data_dir=DIR where "
                "it is prepared, or unpack its images and use --dataset=folder "
                "--data_dir=DIR"
            ) from error


@contextlib.contextmanager
def _hidden_warnings() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _decode(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded))


def open_source(config: Config, download: bool = True) -> Source:
    """Returns the source of a config's images.

    Args:
        config: `Config`.
        download: Boolean, whether a missing data set is downloaded when it is needed.

    Raises:
        UserError: if there is no such data set.
    """
    if config.dataset == "digits":
        return Digits()
    if config.dataset == "folder":
        return Folder(config.data_dir, config.classes if config.num_classes else ())
    return TFDS(config.dataset, config.split, config.data_dir, download)


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
    names = open_source(config, download).class_names()
    if len(names) < 2:
        found = f"the one class {names[0]}" if names else "no classes"
        raise UserError(
            f"{config.dataset} has {found}, and conditional networks need two or more. "
            "Give a folder with one sub-folder per class, or --noconditional"
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
