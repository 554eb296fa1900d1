"""Reading `.npz` files that may be damaged, or made to exhaust the memory."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from sagan_tf.errors import UserError
from sagan_tf.text import first_line, printable

NUMERIC = "biuf"
# What NumPy writes. Other compressions can expand further, or ask for memory at once.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1  # bit of a member's flags


def load_arrays(path: str | Path, kinds: str = NUMERIC) -> dict[str, np.ndarray]:
    """Reads the arrays of an `.npz` file.

    Sizes are checked before memory is allocated for them, and nothing is unpickled.

    Args:
        path: `.npz` file.
        kinds: Kinds of types that are read, as `numpy.dtype.kind` calls them. The
            default is booleans, integers and floats; `NUMERIC + "U"` adds strings.

    Returns:
        Dict from names to NumPy arrays.

    Raises:
        UserError: if the file is missing, damaged, no regular file, holds anything but
            such arrays, or would take more than half the memory.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise ValueError("it is not a regular file")
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            _check_members(members)
            return {
                member.filename.removesuffix(".npy"): _read_member(file, member, kinds)
                for member in members
            }
    except FileNotFoundError:
        raise UserError(f"There is no file {path}") from None
    except Exception as error:  # damaged files fail in many ways
        raise UserError(
            f"{path} is not an .npz file of arrays that can be read: "
            f"{first_line(error):.300}"
        ) from error


def fits_memory(size: int) -> bool:
    """Returns whether this many bytes take at most half the memory of the machine."""
    return size <= psutil.virtual_memory().total / 2


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    """Raises `ValueError` if any member cannot be read, or all are too much to read."""
    names = [member.filename.removesuffix(".npy") for member in members]
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{_name(member)} is encrypted")
        if member.compress_type not in _COMPRESSIONS:
            raise ValueError(f"{_name(member)} is compressed in an unusual way")
        if member.file_size == 0:
            raise ValueError(f"{_name(member)} is empty")
    if len(set(names)) < len(names):
        raise ValueError("two arrays have the same name")
    total = sum(member.file_size for member in members)
    if not fits_memory(total):
        raise ValueError(
            f"its arrays would take {total / 2**30:,.0f} GiB, more than half the memory"
        )


def _read_member(
    file: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str
) -> np.ndarray:
    try:
        with file.open(member) as opened:
            _check_header(opened, member.file_size, kinds)
        with file.open(member) as opened:
            return np.lib.format.read_array(opened, allow_pickle=False)
    except Exception as error:
        raise ValueError(f"{_name(member)}: {error}") from error


def _check_header(opened: IO[bytes], file_size: int, kinds: str) -> None:
    """Raises `ValueError` unless a header announces exactly the data that follows."""
    # Later versions are for structured arrays. Their headers can be of any length.
    if np.lib.format.read_magic(opened) != (1, 0):
        raise ValueError("not an array of format version 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
    if dtype.kind not in kinds:
        raise ValueError(f"arrays of the type {dtype} are not read")
    if min(shape, default=0) < 0:
        raise ValueError(f"the shape {list(shape)} is negative")
    size = math.prod(shape) * dtype.itemsize
    held = file_size - opened.tell()
    if size != held:
        raise ValueError(
            f"the header announces {size:,} bytes of data, but there are {held:,}"
        )


def _name(member: zipfile.ZipInfo) -> str:
    return printable(f"{member.filename:.100}")
