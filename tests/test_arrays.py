import os
import struct
import time
import zipfile

import numpy as np
import pytest

from sagan_tf import arrays
from sagan_tf.arrays import NUMERIC, load_arrays
from sagan_tf.errors import UserError


def npy(array=None, **header):
    """Returns the bytes of an .npy file, with values of its header changed."""
    array = np.arange(6, dtype=np.float32) if array is None else array
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (6,)} | header
    text = f"{header!r:<117}\n".encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def write(path, members, **settings):
    with zipfile.ZipFile(path, "w", **settings) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_written(save, tmp_path):
    written = {
        "bytes": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
        "fortran": np.asfortranarray(np.random.default_rng(0).random((3, 4))),
        "scalar": np.array(7),
        "none": np.zeros((0, 5), np.float16),
        "flag": np.array([True, False]),
        "big endian": np.arange(3, dtype=">i4"),
        "a/b.c": np.float32([np.nan, np.inf]),
    }
    save(tmp_path / "a.npz", **written)
    read = load_arrays(tmp_path / "a.npz")
    assert list(read) == list(written)
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        read[name][...] = 0  # writable


def test_strings_are_read_if_they_are_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", text=np.array("abc"))
    with pytest.raises(UserError, match=r"a.npz is not .*: text.npy: .*type <U3 are"):
        load_arrays(tmp_path / "a.npz")
    assert str(load_arrays(tmp_path / "a.npz", NUMERIC + "U")["text"]) == "abc"


def test_a_header_of_terabytes_is_refused_at_once(tmp_path):
    path = write(tmp_path / "a.npz", [("x.npy", npy(shape=(10**12,)))])
    start = time.monotonic()
    with pytest.raises(
        UserError, match="x.npy: the header announces 4,000,000,000,000 bytes.* are 24"
    ):
        load_arrays(path)
    assert time.monotonic() - start < 1


def test_what_the_directory_announces_must_fit_the_memory(tmp_path, monkeypatch):
    """A megabyte of zeros takes a kilobyte of the file: the directory tells."""

    class Memory:
        total = 3_000_000

    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(10**6, np.uint8), b=np.zeros(10**6, np.uint8))
    assert path.stat().st_size < 5000
    load_arrays(path)
    monkeypatch.setattr(arrays.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(np.lib.format, "read_array", None)  # nothing may be read
    with pytest.raises(UserError, match="more than half the memory"):
        load_arrays(path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("x.npy", npy(shape=(-6,)))], r"x.npy: the shape \[-6\] is negative"),
        ([("x.npy", npy(shape=(-2, -3)))], "is negative"),
        ([("x.npy", npy(shape=(2**62, 2**62)))], "announces"),
        ([("x.npy", npy(shape=(2**64 + 6,)))], "announces"),
        ([("x.npy", npy(shape=(5,)))], "announces 20 bytes of data, but there are 24"),
        ([("x.npy", npy(shape=6))], "x.npy: "),
        ([("x.npy", npy(shape=("6",)))], "x.npy: "),
        ([("x.npy", npy(descr="|O"))], "type object are not read"),
        ([("x.npy", npy(descr="<c8"))], "type complex64 are not read"),
        ([("x.npy", npy(descr="<M8[s]"))], "are not read"),
        ([("x.npy", npy(descr=[("a", "<f4")]))], "are not read"),
        ([("x.npy", npy(descr="nonsense"))], "x.npy: "),
        ([("x.npy", b"")], "x.npy is empty"),
        ([("x.npy", b"\x93NUM")], "x.npy: "),
        ([("x.npy", b"x" * 200)], "x.npy: .*magic"),
        ([("x.npy", b"\x93NUMPY\x02\x00" + npy()[8:])], "version 1.0"),
        ([("x.npy", npy()[:20])], "x.npy: "),
        ([("x.npy", npy()[:-1])], "announces 24 bytes of data, but there are 23"),
        ([("x.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)], "x.npy: "),
        ([("x.npy", npy()), ("x", npy())], "the same name"),
        ([("\x1b[2J\n.npy", b"")], r"\\x1b\[2J\\n.npy is empty"),
    ],
)
def test_damaged_members_are_refused_in_a_line(members, message, tmp_path):
    path = write(tmp_path / "a.npz", members)
    with pytest.raises(UserError, match=message) as error:
        load_arrays(path)
    assert str(error.value).startswith(f"{path} is not an .npz file of arrays")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"text", npy(), b"PK\x05\x06" + b"\0" * 3])
def test_what_is_no_zip_is_refused(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="a.npz is not an .npz file of arrays"):
        load_arrays(tmp_path / "a.npz")


def test_unusual_compression_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("x.npy", npy())], compression=zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="x.npy is compressed in an unusual way"):
        load_arrays(path)


def test_encrypted_members_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("x.npy", npy())])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the directory's flags
    path.write_bytes(content)
    with pytest.raises(UserError, match="x.npy is encrypted"):
        load_arrays(path)


def test_a_directory_that_lies_is_refused(tmp_path):
    """The directory and the header agree on a size that the file does not hold."""
    path = write(
        tmp_path / "a.npz",
        [("x.npy", npy(shape=(10**6,)))],
        compression=zipfile.ZIP_DEFLATED,
    )
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    (size,) = struct.unpack_from("<I", content, at)
    struct.pack_into("<I", content, at, size - 24 + 4 * 10**6)
    path.write_bytes(content)
    with pytest.raises(UserError, match="x.npy: "):
        load_arrays(path)


def test_flipped_and_missing_bytes_never_end_in_a_traceback(tmp_path):
    """Every byte of a small file in turn, and every length."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(6.0))
    whole = path.read_bytes()
    refused = 0
    damaged = [whole[:length] for length in range(len(whole))]
    for at in range(len(whole)):
        damaged.append(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
    for content in damaged:
        path.write_bytes(content)
        try:
            load_arrays(path)
        except UserError:
            refused += 1
    assert refused > 0.8 * len(damaged)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("pipe.npz", "."):
        with pytest.raises(UserError, match="not a regular file"):
            load_arrays(tmp_path / name)
    with pytest.raises(UserError, match="There is no file .*b.npz"):
        load_arrays(tmp_path / "b.npz")
