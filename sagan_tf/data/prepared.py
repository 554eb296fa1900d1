"""Prepared data: the decoded images of a data set, in the cache.

A folder of the cache for each (images, size, channels, crop):

    images.bin      uint8 [N, size, size, channels], opened as a memory map
    arrays.npz      labels, checksums, positions, and lines on skipped files
    names.json      of a folder, the names of the images
    manifest.json   what it is, and checksums of the other files; written last

While it is being written, its name ends with `.partial`. A process that ends before it
is complete leaves that folder, and the next one resumes from it.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np

from sagan_tf import files
from sagan_tf.arrays import NUMERIC, load_arrays
from sagan_tf.cache import cache_dir, digest, digest_files, warn_damaged
from sagan_tf.config import Config
from sagan_tf.data.decoding import decode
from sagan_tf.data.preprocessing import describe_crop
from sagan_tf.data.sources import Files, Source, describe_data
from sagan_tf.errors import UserError
from sagan_tf.text import count

_VERSION = 1  # of the decoding: other code would give other pixels
_SECONDS_BETWEEN_SAVES = 5.0  # of the progress, which a killed process resumes from


class LoadedData(NamedTuple):
    """The images of a data set at its training size.

    Attributes:
        images: uint8 `[N, image_size, image_size, channels]`; of prepared data a
            read-only memory map.
        labels: int32 `[N]`, -1 without a class.
        checksums: uint32 `[N]`, the CRC-32 of each image.
        positions: int64 `[N]`, ascending: which picture of the source each image is.
            Those that cannot be read are missing.
        names: Of a folder, the path of each image relative to it, with forward slashes;
            otherwise empty.
        skipped: A line with name and reason for each file that is no readable image.
        description: What messages call the data set.
        sha256: SHA-256 of all pixels and labels, by `hash_data`; None if it is not
            known.
        path: Folder of the prepared data, or None if they are only in memory.
    """

    images: np.ndarray
    labels: np.ndarray
    checksums: np.ndarray
    positions: np.ndarray
    names: list[str]
    skipped: list[str]
    description: str
    sha256: str | None = None
    path: Path | None = None

    def summary(self) -> str:
        """Returns how many images there are: `"1,797 images of digits, 32 px"`."""
        found = count(len(self.images), "image")
        return f"{found} of {self.description}, {self.images.shape[1]} px"

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns copies of some images, whose checksums are verified, and labels.

        Args:
            indices: Integers `[M]`.

        Raises:
            UserError: if an image is not as it was prepared.
        """
        if self.path is None:
            return self.images[indices], self.labels[indices]
        images = self._read(indices)
        for index, image in zip(indices, images, strict=True):
            self._verify(index, image)
        return images, self.labels[indices]

    def _read(self, indices: np.ndarray) -> np.ndarray:
        """Reads some images from the file.

        Through the memory map, images that are not in memory would come page by page,
        with more before and after them, and one thread at a time.
        """
        assert self.path is not None
        images = np.empty((len(indices), *self.images.shape[1:]), np.uint8)
        try:
            with open(self.path / "images.bin", "rb", buffering=0) as file:
                for index, image in zip(indices, images, strict=True):
                    file.seek(int(index) * image.nbytes)
                    file.readinto(image.data.cast("B"))
        except FileNotFoundError:  # deleted during a run, which the map survives
            return self.images[indices]
        return images

    def verify(self) -> None:
        """Verifies the checksums of all images.

        Raises:
            UserError: if an image is not as it was prepared.
        """
        if self.path:
            for index, image in enumerate(self.images):
                self._verify(index, image)

    def _verify(self, index: int, image: np.ndarray) -> None:
        if self.path and zlib.crc32(image.data) != self.checksums[index]:
            raise UserError(
                f"{self.path} is damaged: image {index} has another checksum. Delete "
                "these prepared data, and run the same command again: python -m "
                f"sagan_tf prepare --delete={self.path.name}"
            )


def hash_data(images: np.ndarray, labels: np.ndarray) -> str:
    """Returns the SHA-256 of all pixels and labels.

    Args:
        images: uint8 `[N, size, size, channels]`.
        labels: int32 `[N]`.
    """
    hashed = hashlib.sha256(np.ascontiguousarray(images).data)
    hashed.update(np.ascontiguousarray(labels).data)
    return hashed.hexdigest()


def open_prepared(config: Config, source: Source) -> LoadedData | None:
    """Opens prepared data, without reading their images.

    Args:
        config: `Config`.
        source: Its `Source`.

    Returns:
        `LoadedData`, or None if there are none or they are damaged.
    """
    return _try_open(_folder(config, source), source)


def prepare(config: Config, source: Source) -> LoadedData:
    """Opens prepared data, or prepares them: decodes all images once.

    Another process that prepares the same is waited for.

    Args:
        config: `Config`.
        source: Its `Source`.

    Raises:
        UserError: if the data set is missing or damaged, if it has no readable image,
            or if the images cannot be written.
    """
    path = _folder(config, source)
    if found := _try_open(path, source):
        return found
    with _one_process(path):
        if found := _try_open(path, source):
            return found
        _write(config, source, path)
        return _open(path, source)


def _folder(config: Config, source: Source) -> Path:
    key = digest([_VERSION, describe_data(config, source)])
    return _root() / f"{config.dataset.replace('/', '_')}-{config.image_size}-{key}"


def _root() -> Path:
    return cache_dir() / "prepared"


@contextlib.contextmanager
def _one_process(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except filelock.Timeout:
        print("Waiting for another process that prepares the same images")
        lock.acquire()
    # Such as a home that cannot be written, or a disk that cannot lock files.
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"{path.parent} cannot be used as cache: {error}. Give another folder: "
            "--cache_dir=DIR"
        ) from None
    try:
        yield
    finally:
        lock.release()  # its file stays: others may wait for it


def _try_open(path: Path, source: Source) -> LoadedData | None:
    if not path.exists():
        return None
    try:
        return _open(path, source)
    except (UserError, KeyError, TypeError, ValueError, OSError) as error:
        warn_damaged(path, error)
        return None


def _open(path: Path, source: Source) -> LoadedData:
    manifest = files.read_json(path / "manifest.json")
    for name, expected in manifest["checksums"].items():
        if digest_files(path / name) != expected:
            raise ValueError(f"{name} has another checksum")
    arrays = load_arrays(path / "arrays.npz", NUMERIC + "U")
    names = files.read_json(path / "names.json")
    shape = tuple(manifest["shape"])
    size = (path / "images.bin").stat().st_size
    if size != math.prod(shape) or len(arrays["labels"]) != shape[0]:
        raise ValueError(f"images.bin has {size:,} bytes, not those of {list(shape)}")
    return LoadedData(
        np.memmap(path / "images.bin", np.uint8, "r", shape=shape),
        arrays["labels"],
        arrays["checksums"],
        arrays["positions"],
        names,
        [*source.skipped, *arrays["skipped"].tolist()],
        source.description,
        manifest["sha256"],
        path,
    )


class _Progress(NamedTuple):
    """What is written already.

    Attributes:
        labels: List of integers, as the following two.
        checksums: CRC-32 of the images.
        positions: Which pictures they are.
        skipped: Lines on the pictures that cannot be read.
    """

    labels: list[int]
    checksums: list[int]
    positions: list[int]
    skipped: list[str]

    @property
    def num_pictures(self) -> int:
        return len(self.labels) + len(self.skipped)

    def save(self, path: Path) -> None:
        with files.replacing(path) as temporary:
            np.savez(
                temporary,
                labels=np.array(self.labels, np.int32),
                checksums=np.array(self.checksums, np.uint32),
                positions=np.array(self.positions, np.int64),
                skipped=np.array(self.skipped, np.str_),
            )


def _write(config: Config, source: Source, path: Path) -> None:
    partial = path.with_name(f"{path.name}.partial")
    shape = (config.image_size, config.image_size, config.channels)
    total, pictures = source.pictures()
    progress = _read_progress(partial)
    with files.write_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
        files.delete_partial(partial)
        _check_disk(partial, (total - len(progress.labels)) * math.prod(shape))
        with open(partial / "images.bin", "ab") as file:
            # Images after the last save of the progress are decoded again.
            file.truncate(len(progress.labels) * math.prod(shape))
            _append(config, source, total, pictures, progress, file)
        if not progress.labels:
            files.delete(partial)
            raise UserError(
                f"No image of {source.description} can be read: "
                f"{'; '.join(progress.skipped[:3])}"
            )
        files.sync(partial / "images.bin")
        _complete(config, source, partial, progress)
        files.delete(path)  # damaged, or it would have been opened
        os.replace(partial, path)


def _append(
    config: Config,
    source: Source,
    total: int,
    pictures: Iterator[Any],
    progress: _Progress,
    file: Any,
) -> None:
    first = progress.num_pictures
    for _ in range(first):  # not decoded
        next(pictures)
    last_save = time.monotonic()
    decoded = decode(config, pictures, source.description, total - first)
    for position, (picture, result) in enumerate(decoded, start=first):
        if position == total:
            raise UserError(f"{source.description} has more than {total} images")
        if isinstance(result, str):
            progress.skipped.append(result)
        else:
            image = np.ascontiguousarray(result)
            file.write(image.data)
            progress.labels.append(picture.label)
            progress.checksums.append(zlib.crc32(image.data))
            progress.positions.append(position)
        if time.monotonic() - last_save > _SECONDS_BETWEEN_SAVES:
            _save_progress(file, progress)
            last_save = time.monotonic()


def _save_progress(file: Any, progress: _Progress) -> None:
    """Saves the progress, after its images are on the disk."""
    file.flush()
    path = Path(file.name)
    files.sync(path)
    progress.save(path.with_name("progress.npz"))


def _read_progress(partial: Path) -> _Progress:
    path = partial / "progress.npz"
    if path.exists():
        try:
            arrays = load_arrays(path, NUMERIC + "U")
            names = ("labels", "checksums", "positions", "skipped")
            return _Progress(*(arrays[name].tolist() for name in names))
        except (UserError, KeyError, ValueError) as error:
            warn_damaged(partial, error)
    return _Progress([], [], [], [])


def _complete(
    config: Config, source: Source, partial: Path, progress: _Progress
) -> None:
    """Writes everything but the images; the manifest last."""
    shape = (len(progress.labels), config.image_size, config.image_size)
    images = np.memmap(
        partial / "images.bin", np.uint8, "r", shape=(*shape, config.channels)
    )
    names = []
    if isinstance(source, Files):
        names = [source.names[position] for position in progress.positions]
    files.write_text(partial / "names.json", json.dumps(names))
    progress.save(partial / "arrays.npz")
    files.delete(partial / "progress.npz")
    manifest = {
        "description": source.description,
        "crop_size": config.crop_size,
        "resizer": "Pillow, Lanczos",
        "shape": images.shape,
        "sha256": hash_data(images, np.array(progress.labels, np.int32)),
        "checksums": {
            name: digest_files(partial / name) for name in ("arrays.npz", "names.json")
        },
    }
    files.write_text(partial / "manifest.json", json.dumps(manifest) + "\n")


def _check_disk(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"The images take {size / 2**30:.1f} GiB, and {folder} has only "
            f"{free / 2**30:.1f} GiB free. Give a folder on a larger disk: "
            "--cache_dir=DIR"
        )


class Entry(NamedTuple):
    """Prepared data in the cache.

    Attributes:
        name: Name of their folder.
        description: What they are, or why they cannot be used.
        size: Integer, bytes.
    """

    name: str
    description: str
    size: int


def list_prepared() -> list[Entry]:
    """Returns the prepared data in the cache, by name."""
    entries = []
    for folder in sorted(_root().glob("*/")):
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        entries.append(Entry(folder.name, _describe(folder), size))
    return entries


def _describe(folder: Path) -> str:
    if folder.suffix == ".partial":
        return "not complete: preparing it resumes from here"
    try:
        manifest = files.read_json(folder / "manifest.json")
        num_images, size, _, channels = manifest["shape"]
        crop = manifest["crop_size"]
        return (
            f"{count(num_images, 'image')} of {manifest['description']}, {size} px, "
            f"{count(channels, 'channel')}{describe_crop(crop)}"
        )
    except (UserError, KeyError, TypeError, ValueError):
        return "damaged"


def delete_prepared(name: str) -> None:
    """Deletes prepared data.

    Args:
        name: Name of their folder, as listed.

    Raises:
        UserError: if there are none with this name.
    """
    names = [entry.name for entry in list_prepared()]
    if name not in names:
        raise UserError(
            f"There are no prepared data {name!r} in {_root()}. There are: "
            f"{', '.join(names) or 'none'}"
        )
    files.delete(_root() / name)
