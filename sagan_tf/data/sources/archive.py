import functools
import json
import shlex
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from sagan_tf import files
from sagan_tf.cache import cache_dir, digest, warn_damaged
from sagan_tf.data.sources.base import (
    IMAGE_SUFFIXES,
    Files,
    file_problem,
    is_picture,
    open_encoded,
)
from sagan_tf.errors import UserError
from sagan_tf.text import first_line, printable

_LARGEST = 2**28  # bytes of a file in memory; an archive may announce any size


# How files of gzip, bzip2, xz, zstd and 7-Zip start.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")


class _Member(NamedTuple):
    name: str
    size: int
    read: Callable[[], bytes]


class Archive(Files):
    """Image files in a zip or tar archive, which is read as it is.

    Directories are classes, as those of a folder; one that holds everything, such as
    `img_align_celeba/`, is left out. An archive in a tar is a directory: ImageNet's
    `ILSVRC2012_img_train.tar` holds one for each class.

    Args:
        path: The archive.
        classes: Names of directories in the order of their labels. The default is the
            directories that there are.

    Raises:
        UserError: if it is no archive, or compressed as a whole; later, if there is no
            image in it.
    """

    def __init__(self, path: str, classes: tuple[str, ...] = ()):
        super().__init__(classes)
        self.path, self.description = Path(path), printable(path)
        if problem := file_problem(self.path):
            raise UserError(f"--data_dir={self.description}: {problem}")
        if is_picture(path):
            raise UserError(
                f"{self.description} is one picture. Give its folder: "
                + shlex.quote(f"--data_dir={self.path.parent}")
            )
        with open(self.path, "rb") as file:
            start = file.read(512)
        self._is_compressed = start.startswith(_COMPRESSED)
        if is_web_page(start):
            raise UserError(
                f"{self.description} is a web page, not an archive. Open it in a "
                "browser to see why: Google Drive sends one when a file was downloaded "
                "too often. Download it again later, or elsewhere"
            )

    @functools.cached_property
    def names(self) -> list[str]:
        return [name for name, _ in self._members]

    def open_file(self, index: int) -> Image.Image:
        member = self._members[index][1]
        if member.size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST // 2**20} MiB")
        return open_encoded(member.read())

    def class_names(self) -> tuple[str, ...]:
        # All headers are read for them, a million in ImageNet's: once.
        path = cache_dir() / "archives" / f"{digest(self._stat())}.json"
        if path.exists():
            try:
                return _check_names(files.read_json(path))
            except (UserError, ValueError) as error:
                warn_damaged(path, error)
        names = super().class_names()
        files.write_text(path, json.dumps(names))
        return names

    def fingerprint(self) -> Any:
        return [self.classes or self.class_names(), *self._stat()]

    def _stat(self) -> list[Any]:
        stat = self.path.stat()
        return [self.path.name, stat.st_size, stat.st_mtime_ns]

    @functools.cached_property
    def _members(self) -> list[tuple[str, _Member]]:
        """The images by name, sorted."""
        try:
            # A tar may end with a zip, and then be taken for one.
            is_tar = tarfile.is_tarfile(self.path)
            list_members = _list_tar if is_tar else _list_zip
            members = [
                member
                for member in list_members(self.path)
                if is_picture(member.name) and not _is_hidden(member.name)
            ]
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            remedy = "It is damaged, or not complete: download it again"
            if self._is_compressed:
                remedy = "It is compressed as a whole: unpack it, and give the folder"
            raise UserError(
                f"{self.description} cannot be read as a zip or uncompressed tar "
                f"archive ({first_line(error)}). {remedy}"
            ) from error
        if not members:
            raise UserError(
                f"There are no images in {self.description}. Looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}"
            )
        parts = [PurePosixPath(member.name).parts for member in members]
        shared = 0
        while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
            shared += 1
        names = ("/".join(p[shared:]) for p in parts)
        # As a folder's: by directory, not by the text of the path.
        pairs = zip(names, members, strict=True)
        return sorted(pairs, key=lambda pair: pair[0].split("/"))


def _check_names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(type(name) is str for name in names):
        raise ValueError(f"it holds {names}")
    return tuple(names)


def is_web_page(start: bytes) -> bool:
    """Returns whether the first bytes of a file are those of an HTML page."""
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def _list_zip(path: Path) -> Iterator[_Member]:
    archive = zipfile.ZipFile(path)  # open for as long as its members; reads in threads
    for info in archive.infolist():
        if not info.is_dir():
            read = functools.partial(archive.read, info)
            yield _Member(info.filename.replace("\\", "/"), info.file_size, read)


def _list_tar(path: Path) -> Iterator[_Member]:
    def read(offset: int, size: int) -> bytes:
        with open(path, "rb") as file:  # one for each: threads read at once
            file.seek(offset)
            return file.read(size)

    def walk(archive: tarfile.TarFile, folder: str, start: int) -> Iterator[_Member]:
        for member in archive:
            # Else it keeps them all: 1.28 million take gigabytes.
            archive.members = []  # type: ignore[attr-defined]
            if not member.isfile() or member.issparse() or _is_hidden(member.name):
                continue
            name, offset = f"{folder}{member.name}", start + member.offset_data
            if name.endswith(".tar") and not folder:
                inner = archive.extractfile(member)
                with tarfile.open(fileobj=inner, mode="r:") as opened:
                    yield from walk(opened, f"{name[:-4]}/", offset)
            else:
                part = functools.partial(read, offset, member.size)
                yield _Member(name, member.size, part)
        _check_end(archive)

    with tarfile.open(path, "r:") as archive:
        yield from walk(archive, "", 0)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raises `tarfile.ReadError` if members may follow: `tarfile` does not say so."""
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)  # type: ignore[attr-defined]
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or block.strip(b"\0"):
        raise tarfile.ReadError("it is damaged, or not complete")
