"""A run has one writer: a lock in the run directory."""

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from sagan_tf.errors import UserError
from sagan_tf.files import delete, read_json, write_errors, write_text

_LOCK, _HOLDER = ".lock", ".lock.json"


@contextlib.contextmanager
def lock_run(run_dir: Path) -> Iterator[None]:
    """Holds a run directory, which is created, as its only writer.

    The operating system releases the lock of a process that ends, however it ends.

    Args:
        run_dir: Run directory.

    Raises:
        UserError: if another process holds it; which, where and since when.
    """
    created = [path for path in (run_dir, *run_dir.parents) if not path.exists()]
    lock = filelock.FileLock(run_dir / _LOCK)
    try:
        with write_errors(run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        }
        write_text(run_dir / _HOLDER, json.dumps(holder) + "\n")
        yield
    except filelock.Timeout:
        raise UserError(
            f"{run_dir} is being written by {describe_holder(run_dir)}. Stop it, wait "
            "for its end, or give another --workdir"
        ) from None
    except NotImplementedError as error:
        raise UserError(f"The disk of {run_dir} cannot lock files: {error}") from None
    finally:
        if lock.is_locked:
            delete(run_dir / _HOLDER)
            # Before the release: another process could hold it after that.
            _delete_unused(run_dir, created)
            lock.release()


def is_locked(run_dir: Path) -> bool:
    """Returns whether a process holds a run directory.

    Raises:
        OSError: if there is no permission to find out.
    """
    if not (run_dir / _LOCK).exists():
        return False
    try:
        with filelock.FileLock(run_dir / _LOCK).acquire(blocking=False):
            return False
    except filelock.Timeout:
        return True


def describe_holder(run_dir: Path) -> str:
    """Returns which process holds a run directory, where and since when."""
    try:
        holder = read_json(run_dir / _HOLDER)
        return f"process {holder['process']} on {holder['host']} since " + str(
            holder["since"]
        )
    except (UserError, KeyError, TypeError):  # it is just starting or ending
        return "another process"


def _delete_unused(run_dir: Path, created: list[Path]) -> None:
    """Deletes the directories of a run that was refused before it wrote anything."""
    with contextlib.suppress(OSError):
        if created and [path.name for path in run_dir.iterdir()] == [_LOCK]:
            delete(run_dir / _LOCK)
            for path in created:
                path.rmdir()
