"""Files: written as a whole or not at all, and read with a clear line if damaged."""

import contextlib
import itertools
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from sagan_tf.errors import UserError

# Before host, process and name of what is being written, and of a folder that it is
# about to replace.
_PARTIAL, _FORMER = ".partial-", ".partial-former-"


@contextlib.contextmanager
def replacing(
    path: str | Path, failures: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """Gives a new path to write a file or folder to; at the end it replaces `path`.

    The new path has the same suffix, in the same folder, which is created. What was at
    `path` stays until the new file or folder is complete. If writing fails, nothing of
    it is left.

    Args:
        path: File or folder.
        failures: Exceptions that, like `OSError`, mean that writing failed.

    Raises:
        UserError: if writing fails, with the path and the reason.

    Example:

    ```python
    with replacing(path) as partial:
        partial.write_text(text)
    ```
    """
    given, path = path, Path(os.path.realpath(path))  # a link stays, and leads there
    partial = partial_path(path)
    with write_errors(given, failures):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            delete(partial)
            yield partial
            if partial.is_dir() and path.is_dir():
                # A folder with files cannot be replaced: it is moved out of the way.
                former = partial_path(path, _FORMER)
                delete(former)
                os.replace(path, former)
                try:
                    os.replace(partial, path)
                except BaseException:
                    os.replace(former, path)
                    raise
                delete(former)
            else:
                sync(partial)
                os.replace(partial, path)
        finally:
            delete(partial)


@contextlib.contextmanager
def write_errors(
    path: str | Path, failures: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turns a failure to write `path` into a `UserError` with the path and the reason.

    Args:
        path: The file or folder that is being written.
        failures: Exceptions that, like `OSError`, mean that writing failed.
    """
    try:
        yield
    except (OSError, *failures) as error:  # type: ignore[misc]
        # A file of a folder that is being replaced is named by its place at the end.
        final = str(path).replace(_own_prefix(_PARTIAL), "")
        raise UserError(
            f"{final} cannot be written: {_reason(error)}. What was there before is "
            "unchanged. Once it can be written, run the same command again"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow says "{{node NAME}} PATH; No space left on device [Op:NAME]".
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip()
    return text.splitlines()[0].rpartition("; ")[2][:200] if text else repr(error)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file, as `replacing` does."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def append(path: Path, data: bytes) -> None:
    """Appends bytes to a file, all of them or none.

    Raises:
        UserError: if they cannot be written. The file is as before then.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                while data:  # on a full disk only a part may be written
                    data = data[file.write(data) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise


def read_text(path: str | Path) -> str:
    """Reads a text file.

    Raises:
        UserError: if it cannot be read, is no regular file or no UTF-8 text.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise UserError(f"{path} is not a file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: it is no UTF-8 text") from error


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: if it cannot be read or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    # The last one for a number of more digits, or lists nested deeper, than Python
    # takes.
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def find_bundled(name: str) -> Path:
    """Returns a folder of the top level of the repository, or where it was installed.

    Args:
        name: The folder's name, such as `"configs"`, which is installed in the package.
    """
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def set_aside(path: str | Path, reason: object) -> None:
    """Renames a damaged file to `NAME.damaged` and warns, so that a new one can begin.

    Args:
        path: The file.
        reason: What is wrong with it.
    """
    path = Path(path)
    damaged = unused_path(path.with_name(path.name + ".damaged"))
    with write_errors(damaged):
        os.replace(path, damaged)
    logging.warning("%s: %s. It is kept as %s", path, reason, damaged.name)


def delete(path: Path) -> None:
    """Deletes a file or a folder, if it exists and can be deleted."""
    # Folders that are nested a thousand deep cannot be deleted from Python.
    with contextlib.suppress(OSError, RecursionError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def partial_path(path: Path, marker: str = _PARTIAL) -> Path:
    """Returns where this process writes a file or folder before it replaces `path`."""
    return path.with_name(_own_prefix(marker) + path.name)


def _own_prefix(marker: str) -> str:
    return f"{marker}{_host()}-{os.getpid()}-"


def delete_partial(folder: Path) -> None:
    """Deletes what processes of this host that have ended left half-written.

    What one had moved out of the way, but not yet replaced, is moved back.

    Args:
        folder: Folder, without those below it.
    """
    import psutil  # not with the layers alone, whose users may read a config

    for path in folder.glob(f"{_PARTIAL}*"):
        pattern = rf"({_FORMER}|{_PARTIAL}){re.escape(_host())}-(\d+)-(.*)"
        match = re.fullmatch(pattern, path.name, re.DOTALL)
        # In a container every process may have the number of the one before.
        if not match or (
            int(match[2]) != os.getpid() and psutil.pid_exists(int(match[2]))
        ):
            continue
        target = folder / match[3]
        if match[1] == _FORMER and not target.exists():
            os.replace(path, target)
        else:
            delete(path)


def sync(path: Path) -> None:
    """Waits until a file is on the disk: a power failure must not leave it empty."""
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def unused_path(path: Path) -> Path:
    """Returns a path, or if it exists the first unused one of `NAME_2`, `NAME_3`, ...

    Default outputs get their names here, so that nothing is overwritten unasked.
    """
    candidates = (
        path.with_name(f"{path.stem}_{number}{path.suffix}")
        for number in itertools.count(2)
    )
    return next(p for p in itertools.chain([path], candidates) if not p.exists())


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", socket.gethostname())
