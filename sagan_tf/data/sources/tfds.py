import contextlib
import functools
import itertools
import json
import os
import shlex
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from sagan_tf.data.sources.archive import is_web_page
from sagan_tf.data.sources.base import (
    Picture,
    Source,
    file_problem,
    is_picture,
    open_encoded,
)
from sagan_tf.errors import UserError
from sagan_tf.files import read_json
from sagan_tf.text import first_line, printable

_PAUSES = (5, 30)  # seconds before another download


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
                f"--data_dir={data_dir} is neither a folder nor an archive. Create the "
                f"folder first to download {name} there"
            )
        # Slow to import, and needed here alone.
        import tensorflow_datasets as tfds

        self.name, self.split, self.data_dir = name, split, data_dir
        self.download = download
        self.description = printable(f"{name} {split}")
        self._tfds = tfds
        _refuse_code(name, data_dir)
        try:
            # It warns of each folder of that name that is none of its sets.
            with _hidden_warnings():
                self._builder = tfds.builder(name, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError:
            raise UserError(f"TensorFlow Datasets has no set named {name!r}") from None
        # A known data set, but not this config of it; or damaged files, in many ways.
        except Exception as error:
            raise UserError(f"{name}: {first_line(error):.200}") from None
        if not isinstance(self._feature("image"), tfds.features.Image):
            raise UserError(f"The TensorFlow Datasets set {name!r} has no single image")
        if data_dir and not self.is_prepared() and _holds_pictures(data_dir):
            raise UserError(
                f"{data_dir} holds pictures, not {name} as TensorFlow Datasets "
                f"prepares it. Give the folder where {name} is, or train on the "
                "pictures: python -m sagan_tf train --dataset=folder "
                f"{shlex.quote(f'--data_dir={data_dir}')}, with --config=NAME for a "
                "preset's settings"
            )

    def is_prepared(self) -> bool:
        """Returns whether the data set is in its folder."""
        return self._builder.is_prepared()

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
                        functools.partial(open_encoded, encoded),
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
                f"{first_line(error):.200}. Delete this folder to prepare it again"
            ) from error

    def _prepare(self) -> None:
        if self.is_prepared():
            return
        where = self.data_dir or "~/tensorflow_datasets"
        if not self.download:
            raise UserError(f"{self.name} is not in {where}")
        begun = time.time()
        try:
            self._connect()
            self._download()
        # Whatever a download can end with (no network, a quota page instead of an
        # archive, a full disk), the user needs the one line that follows.
        except Exception as error:
            text = textwrap.shorten(first_line(error), 200, placeholder=" ...")
            reason = f"{type(error).__name__}: {text}"
            if page := self._find_web_page(begun):
                reason += (
                    f"; {page} is a web page, not an archive: probably Google Drive's, "
                    "which says that the file was downloaded too often today"
                )
            raise UserError(
                f"{self.name} is not in {where} and could not be downloaded "
                f"({reason}). Give --data_dir=DIR where it is prepared, "
                "--data_dir=FILE, a zip or tar of its images, or --dataset=folder "
                "--data_dir=DIR, a folder of them"
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

    def _download(self) -> None:
        """Downloads and prepares the data set; after a broken connection, again."""
        import requests

        broken = (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        )
        for pause in _PAUSES:
            try:
                return self._builder.download_and_prepare()
            except broken as error:
                logging.warning(
                    "%s: the connection broke (%.200s). Trying again in %d s",
                    self.name,
                    first_line(error),
                    pause,
                )
                time.sleep(pause)
        self._builder.download_and_prepare()

    def _find_web_page(self, begun: float) -> str:
        """Returns the path of a web page that was downloaded since then, or `""`."""
        downloads = Path(self._builder.data_dir_root) / "downloads"
        for path in sorted((downloads / self._builder.name).rglob("*")):
            if path.is_file() and path.stat().st_mtime >= begun - 1:
                with path.open("rb") as file:
                    if is_web_page(file.read(512)):
                        return str(path)
        return ""

    def _has_archives(self) -> bool:
        downloads = Path(self._builder.data_dir_root) / "downloads"
        files = itertools.chain(
            (downloads / self._builder.name).rglob("*"),
            (downloads / "manual").rglob("*"),
            downloads.glob("*"),
        )
        # Temporary folders are left over from downloads that failed.
        return any(path.is_file() and ".tmp." not in path.parent.name for path in files)


def _holds_pictures(data_dir: str) -> bool:
    if "://" in data_dir:
        return False
    paths = itertools.chain(Path(data_dir).glob("*"), Path(data_dir).glob("*/*"))
    return any(is_picture(path.name) for path in paths)


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
            if not remote and not path.is_dir() and (problem := file_problem(path)):
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
