import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from sagan_tf.data.sources.base import (
    FORMATS,
    IMAGE_SUFFIXES,
    Files,
    file_problem,
)
from sagan_tf.errors import UserError
from sagan_tf.text import printable


class Folder(Files):
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
                "--dataset=folder needs --data_dir=DIR, the folder of images, or a zip "
                "or tar archive of them"
            )
        super().__init__(classes)
        self.root, self.description = Path(data_dir), printable(str(data_dir))

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
            raise UserError(
                f"--data_dir={self.root} is neither a folder nor an archive"
            )
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

    @functools.cached_property
    def names(self) -> list[str]:
        return [self._name(path) for path in self.paths]

    def open_file(self, index: int) -> Image.Image:
        return Image.open(self.paths[index], formats=FORMATS)

    def fingerprint(self) -> Any:
        try:
            stats = [(self._name(path), path.stat()) for path in self.paths]
        except OSError as error:  # deleted since it was found
            raise UserError(f"{error.filename} cannot be read: {error}") from error
        files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return [self.classes or self.class_names(), files]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


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
                yield path, file_problem(path)
