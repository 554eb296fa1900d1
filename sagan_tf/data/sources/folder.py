import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from sagan_tf.config import PRETRAINED_OUTPUTS, RUN_CONTENTS
from sagan_tf.data.sources.base import (
    FORMATS,
    IMAGE_SUFFIXES,
    Files,
    is_picture,
    mode_problem,
)
from sagan_tf.errors import UserError
from sagan_tf.text import printable, suggest


class Folder(Files):
    """Image files in a folder, flat or with one sub-folder per class.

    Runs below it are left out: their grids are no training images.

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
                "A folder of images needs --data_dir=DIR: the folder, or a zip or tar "
                "archive of images"
            )
        super().__init__(classes)
        self.root, self.description = Path(data_dir), printable(str(data_dir))

    @property
    def skipped(self) -> list[str]:
        return self._found[1]

    @functools.cached_property
    def names(self) -> list[str]:
        return [file.name for file in self._found[0]]

    def open_file(self, index: int) -> Image.Image:
        return Image.open(self.root / self.names[index], formats=FORMATS)

    def fingerprint(self) -> Any:
        files = [(file.name, file.size, file.modified) for file in self._found[0]]
        return [self.classes or self.class_names(), files]

    @functools.cached_property
    def _found(self) -> tuple[list["_File"], list[str]]:
        """The images, sorted, and a line for each that is none."""
        if not self.root.is_dir():
            if self.root.exists():
                raise UserError(
                    f"--data_dir={self.root} is neither a folder nor an archive"
                )
            raise UserError(
                f"--data_dir={self.root} does not exist. {self._suggest_folder()}Give "
                "the place where the images are now"
            )
        # By folder, not by the text of the path, in which "." is before "/".
        found = sorted(_walk(self.root), key=lambda file: file.name.split("/"))
        files = [file for file in found if not file.problem]
        if not files:
            raise UserError(
                f"There are no images in {self.root}. Looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}, there and in its sub-folders "
                "that are no runs"
            )
        problems = [file for file in found if file.problem]
        return files, [printable(f"{f.name} ({f.problem})") for f in problems]

    def _suggest_folder(self) -> str:
        """Returns the question whether a folder of a similar name is meant, or `""`."""
        beside = [path.name for path in self.root.parent.glob("*")]
        return suggest(self.root.name, beside)


class _File(NamedTuple):
    """What one look at the disk tells of a file: a set can have a million.

    Attributes:
        name: Path relative to the folder, with forward slashes.
        size: Integer, bytes.
        modified: Integer, when it was last written, in nanoseconds.
        problem: Why it cannot be read as a file, or `""`.
    """

    name: str
    size: int = 0
    modified: int = 0
    problem: str = ""


def _walk(root: Path) -> Iterator[_File]:
    """Yields the image files below a folder.

    Hidden files and folders are left out, and runs; links to folders are not followed.
    Without recursion, which deep folders would exhaust.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(root / folder) as entries:
                visible = [e for e in entries if not e.name.startswith(".")]
        except OSError as error:
            yield _File(folder.rstrip("/"), problem=error.strerror or str(error))
            continue
        names = {entry.name for entry in visible}
        if folder and "config.json" in names and not names.isdisjoint(RUN_CONTENTS):
            continue
        if f"/{folder}".endswith(f"/{PRETRAINED_OUTPUTS}/"):
            continue
        for entry in visible:
            name = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{name}/")
            elif is_picture(name):
                yield _look_at(entry, name)


def _look_at(entry: os.DirEntry, name: str) -> _File:
    try:
        found = entry.stat()
    except OSError as error:  # such as a broken link
        return _File(name, problem=error.strerror or str(error))
    problem = mode_problem(found.st_mode)
    return _File(name, found.st_size, found.st_mtime_ns, problem)
