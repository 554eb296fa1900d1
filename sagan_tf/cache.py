"""The cache: prepared data, extractors and features, each computed once."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from sagan_tf.text import first_line


def cache_dir() -> Path:
    """Returns the folder of the cache: `$SAGAN_TF_CACHE`, or `~/.cache/sagan_tf`."""
    default = Path.home() / ".cache" / "sagan_tf"
    return Path(os.environ.get("SAGAN_TF_CACHE") or default)


def warn_damaged(path: Path, error: Exception) -> None:
    """Warns that a file of the cache is damaged and computed again."""
    logging.warning(
        "%s is damaged and computed again (%.200s)", path, first_line(error)
    )


def digest(value: Any) -> str:
    """Returns a short SHA-256 of anything that JSON can hold."""
    return _shorten(hashlib.sha256(json.dumps(value, sort_keys=True).encode()))


def digest_files(path: str | Path) -> str:
    """Returns a short SHA-256 of a file, or of a folder's files and their names."""
    path = Path(path)
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))
    for file in files:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode())
        with open(file, "rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return _shorten(total)


def digest_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Returns a short SHA-256 of the numbers in arrays.

    Unlike that of their files, it does not depend on the time of saving.
    """
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).data)
    return _shorten(total)


def _shorten(hashed: Any) -> str:
    return hashed.hexdigest()[:16]
