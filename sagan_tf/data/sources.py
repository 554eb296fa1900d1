"""Where images come from: built-in digits, a folder, or TensorFlow Datasets.

All sources have the methods of `Source`. A new source is a class here and a line in
`open_source`.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.cache import digest
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.files import read_json
from sagan_tf.text import first_line, printable

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# Whatever a file is named, Pillow looks at its content, and it would let Ghostscript
# execute one in PostScript.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


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
        self.root, self.description = Path(data_dir), printable(str(data_dir))
        self.classes = classes

    @property
    def paths(self) -> list[Path]:
        """The image files, sorted."""
        return self._found[0]

    @property
    def skipped(self) -> list[str]:
        return self._found[1]

    @functools.cached_property
    def _found(self) -> tuple[list[Path], list[str]]:
        if not self.root.is_dir():
            raise UserError(f"--data_dir={self.root} is not a folder")
        paths, skipped = [], []
        for path, problem in sorted(_walk(self.root)):
            if problem:
                skipped.append(printable(f"{self._name(path)} ({problem})"))
            else:
                paths.append(path)
        if not paths:
            raise UserError(
                f"There are no images in {self.root}. Looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}, there and in its sub-folders"
            )
        return paths, skipped

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
                self._name(path),
                functools.partial(Image.open, path, formats=_FORMATS),
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
        try:
            stats = [(self._name(path), path.stat()) for path in self.paths]
        except OSError as error:  # deleted since it was found
            raise UserError(f"{error.filename} cannot be read: {error}") from error
        files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return [self.classes or self.class_names(), files]

    def _first_part(self, path: Path) -> str:
        return path.relative_to(self.root).parts[0]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


class TFDS(Source):
    """An image set of TensorFlow Datasets.

    Args:
        name: Its name, with or without a config: `"mnist"`, `"lsun/church_outdoor"`.
        split: A split, or a slice of one such as `"train[:1000]"`.
        data_dir: Folder of prepared data sets, or None for `~/tensorflow_datasets`.
        download: Boolean, whether a missing data set is downloaded.

    Raises:
        UserError: if there is no such data set, it has no single image, or it comes
            with code of its own.
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
        self.description = printable(f"{name} {split}")
        self._tfds = tfds
        _refuse_code(name, data_dir)
        try:
            self._builder = tfds.builder(name, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError:
            raise UserError(f"TensorFlow Datasets has no set named {name!r}") from None
        # A known data set, but not this config of it; or damaged files, in many ways.
        except Exception as error:
            raise UserError(f"{name}: {first_line(error):.200}") from None
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
        return [str(info.version), self.split, self._num_examples(), self._files()]

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

    def _files(self) -> list[tuple[str, int, int]]:
        """Returns names, sizes and dates: prepared anew, a version can differ."""
        paths = sorted(self._builder.data_path.iterdir())
        if "://" in str(self._builder.data_path):
            remote = [(path.name, path.stat()) for path in paths]
            return [(name, stat.length, int(stat.mtime)) for name, stat in remote]
        local = [(path.name, os.stat(path)) for path in paths]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in local]

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
        return self._batches(decoding)

    def _batches(self, decoding: Any) -> Iterator[Any]:
        try:
            # TFDS warns of a deprecated property that it uses itself.
            with _hidden_warnings():
                examples = self._builder.as_dataset(
                    split=self.split, shuffle_files=False, decoders=decoding
                )
            yield from examples.batch(256).as_numpy_iterator()
        except Exception as error:  # damaged files fail in many ways
            raise UserError(
                f"{self.name} in {self._builder.data_dir} is damaged: "
                f"{first_line(error):.200}. Delete this folder to prepare it anew"
            ) from error

    def _prepare(self) -> None:
        if self._builder.is_prepared():
            return
        where = self.data_dir or "~/tensorflow_datasets"
        if not self.download:
            raise UserError(f"{self.name} is not in {where}")
        try:
            self._connect()
            self._builder.download_and_prepare()
        # Whatever a download can end with (no network, a quota page instead of an
        # archive, a full disk), the user needs the one line that follows.
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error):.200}"
            raise UserError(
                f"{self.name} is not in {where} and could not be downloaded "
                f"({reason}). Give --data_dir=DIR where it is prepared, or unpack its "
                "images and use --dataset=folder --data_dir=DIR"
            ) from error

    def _connect(self) -> None:
        """Raises an exception if the host of the first archive cannot be reached.

        TFDS retries for more than 200 s. What was downloaded before needs no host.
        """
        import requests  # what TFDS downloads with, so that proxies are the same

        urls = [url for url in self._builder.url_infos or () if url.startswith("http")]
        if urls and not self._has_archives():
            with contextlib.suppress(requests.ReadTimeout):
                requests.head(urls[0], timeout=10)

    def _has_archives(self) -> bool:
        downloads = Path(self._builder.data_dir_root) / "downloads"
        files = itertools.chain(
            (downloads / self._builder.name).rglob("*"),
            (downloads / "manual").rglob("*"),
            downloads.glob("*"),
        )
        # Temporary folders are left over from downloads that failed.
        return any(path.is_file() and ".tmp." not in path.parent.name for path in files)


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Yields the image files below a folder, and what is wrong with each or `""`.

    Hidden files and folders are left out; links to folders are not followed. Without
    recursion, which deep folders would exhaust.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                visible = [e for e in entries if not e.name.startswith(".")]
        except OSError as error:
            yield folder, error.strerror or str(error)
            continue
        for entry in visible:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                yield path, _file_problem(path)


def _file_problem(path: Path) -> str:
    """Returns why a path cannot be read as a file, or `""`."""
    try:
        # Opening a pipe would wait for ever.
        return "" if stat.S_ISREG(path.stat().st_mode) else "not a regular file"
    except OSError as error:  # such as a broken link
        return error.strerror or str(error)


def _refuse_code(name: str, data_dir: str | None) -> None:
    """Raises `UserError` if reading a set of TFDS would run code other than TFDS's.

    A run received from somebody names the data set and its folder. Community sets are
    downloaded as code, and TFDS imports the modules that a set's files name.
    """
    from etils import epath
    from tensorflow_datasets.core.naming import parse_builder_name_kwargs

    try:
        parsed, arguments = parse_builder_name_kwargs(name)
    except Exception:
        raise UserError(f"TensorFlow Datasets has no set named {name!r}") from None
    if parsed.namespace:
        raise UserError(
            f"{name} is a community data set, which would run code of others. Save its "
            "images to a folder and use --dataset=folder --data_dir=DIR"
        )
    if set(arguments) - {"config", "version"}:
        raise UserError(f"{name}: give NAME, NAME/CONFIG or NAME/CONFIG:VERSION")
    if not data_dir:
        return
    remote = "://" in data_dir
    folder = (epath.Path if remote else Path)(data_dir) / parsed.name
    for pattern in ("*", "*/*", "*/*/*"):
        for path in folder.glob(pattern):
            # Reading a pipe would wait for ever.
            if not remote and not path.is_dir() and (problem := _file_problem(path)):
                raise UserError(f"{path}: {problem}")
            if path.name in ("features.json", "dataset_info.json"):
                _refuse_classes(path)


def _refuse_classes(path: Any) -> None:
    """Raises `UserError` if a JSON file names classes of features not of TFDS."""
    keys = {"pythonClassName", "python_class_name"}
    if path.name == "features.json":
        keys.add("type")
    remote = "://" in str(path)
    pending = [json.loads(path.read_text()) if remote else read_json(path)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
            for key in keys & value.keys():
                name = value[key]
                if isinstance(name, str) and not name.startswith(
                    "tensorflow_datasets."
                ):
                    raise UserError(
                        f"{path} names the class {name:.100}, which is not one of "
                        "TensorFlow Datasets and could run code of others"
                    )
        elif isinstance(value, list):
            pending += value


@contextlib.contextmanager
def _hidden_warnings() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _decode(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded), formats=_FORMATS)


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
