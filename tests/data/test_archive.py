import dataclasses
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from sagan_tf.cache import cache_dir
from sagan_tf.config import Config
from sagan_tf.data import load_data, open_source, with_classes
from sagan_tf.errors import UserError

NAMES = ("cat/a.png", "cat/deep/b.png", "dog/c.png", "dog/d.png")
CONDITIONAL = Config(
    dataset="folder", image_size=32, architecture="resnet", conditional=True
)


def encode(value):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (value, 2 * value, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path, names=NAMES, top="", method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for value, name in enumerate(names):
            archive.writestr(f"{top}{name}", encode(value))


def add_to_tar(archive, name, data, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    archive.addfile(info, io.BytesIO(data))


def write_tar(path, names=NAMES, top="", mode="w"):
    where = {"fileobj": path} if isinstance(path, io.BytesIO) else {"name": path}
    with tarfile.open(mode=mode, **where) as archive:
        for value, name in enumerate(names):
            add_to_tar(archive, f"{top}{name}", encode(value))


def write_tar_of_tars(path, names=NAMES):
    """As ImageNet's: an archive for each class."""
    with tarfile.open(path, "w") as archive:
        for folder in sorted({name.split("/")[0] for name in names}, reverse=True):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as opened:
                for value, name in enumerate(names):
                    if name.startswith(folder):
                        add_to_tar(opened, name.partition("/")[2], encode(value))
            add_to_tar(archive, f"{folder}.tar", inner.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for value, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(value))
    return load_data(with_classes(dataclasses.replace(CONDITIONAL, data_dir=str(root))))


@pytest.mark.parametrize(
    "write",
    [
        write_zip,
        lambda path: write_zip(path, top="images/train/"),
        lambda path: write_zip(path, method=zipfile.ZIP_DEFLATED),
        write_tar,
        lambda path: write_tar(path, top="./"),
        write_tar_of_tars,
    ],
    ids=["zip", "zip_with_top", "deflated", "tar", "tar_with_top", "tar_of_tars"],
)
def test_an_archive_has_the_images_and_classes_of_the_folder(write, folder, tmp_path):
    path = tmp_path / "archive"
    write(path)
    config = with_classes(dataclasses.replace(CONDITIONAL, data_dir=str(path)))
    assert config.classes == ("cat", "dog")
    data = load_data(config)
    np.testing.assert_array_equal(data.images, folder.images)
    np.testing.assert_array_equal(data.labels, folder.labels)
    assert data.names == folder.names == list(NAMES)
    # The classes and prepared data need the archive's size and date alone, and are the
    # same without classes.
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for conditional in (True, False):
        again = dataclasses.replace(
            CONDITIONAL, data_dir=str(path), conditional=conditional
        )
        again = load_data(with_classes(again))
        np.testing.assert_array_equal(again.images, folder.images)
        np.testing.assert_array_equal(again.labels, folder.labels)


def test_a_damaged_list_of_classes_is_written_anew(tmp_path, caplog):
    path = tmp_path / "archive"
    write_zip(path)
    source = open_source(dataclasses.replace(CONDITIONAL, data_dir=str(path)))
    source.class_names()
    cached = max((cache_dir() / "archives").iterdir(), key=os.path.getmtime)
    for damage in ("", "{", "[1]", '{"a": 1}'):
        cached.write_text(damage)
        assert source.class_names() == ("cat", "dog")
        assert "damaged" in caplog.text
        assert json.loads(cached.read_text()) == ["cat", "dog"]
        caplog.clear()


def test_celeb_a_can_be_its_zip(tmp_path):
    path = tmp_path / "img_align_celeba.zip"
    write_zip(path, ["000001.jpg", "000002.jpg"], top="img_align_celeba/")
    config = Config(dataset="celeb_a", data_dir=str(path), image_size=32)
    source = open_source(config)
    assert source.class_names() == () and len(load_data(config).images) == 2


def test_other_members_are_left_out(tmp_path):
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        add_to_tar(archive, "a.png", encode(1))
        add_to_tar(archive, "b.png", b"", tarfile.SYMTYPE)
        add_to_tar(archive, "c.png", b"no image")
        add_to_tar(archive, ".hidden.png", encode(2))
        add_to_tar(archive, "__MACOSX/._a.png", encode(2))
        add_to_tar(archive, "read.me", b"text")
    config = Config(dataset="folder", data_dir=str(path), image_size=32)
    data = load_data(config)
    assert data.names == ["a.png"] and data.skipped == ["c.png (not an image)"]


@pytest.mark.parametrize(
    "data, message",
    [
        (b"not an archive", "cannot be read as .* download it again"),
        (b"", "cannot be read as .* download it again"),
        (b"PK\3\4 cut off", "cannot be read as .* download it again"),
    ],
)
def test_what_is_no_archive_is_refused(data, message, tmp_path):
    path = tmp_path / "archive.zip"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"archive.zip {message}"):
        load_data(Config(dataset="folder", data_dir=str(path), image_size=32))


def test_a_compressed_tar_must_be_unpacked(tmp_path):
    path = tmp_path / "archive.tar.gz"
    write_tar(path, mode="w:gz")
    with pytest.raises(UserError, match="compressed as a whole: unpack it"):
        load_data(Config(dataset="folder", data_dir=str(path), image_size=32))


def test_a_member_that_announces_too_much_is_skipped(tmp_path, monkeypatch):
    path = tmp_path / "archive.zip"
    write_zip(path, ["a.png", "b.png"])
    size = len(encode(1))
    monkeypatch.setattr("sagan_tf.data.sources.archive._LARGEST", size - 1)
    config = Config(dataset="folder", data_dir=str(path), image_size=32)
    with pytest.raises(UserError, match="No image of .* can be read: "):
        load_data(config)


def test_an_archive_without_images_is_refused(tmp_path):
    path = tmp_path / "archive.zip"
    write_zip(path, ["a.txt"])
    with pytest.raises(UserError, match="There are no images in .*archive.zip"):
        load_data(Config(dataset="folder", data_dir=str(path), image_size=32))


def damage(path, where):
    data = bytearray(path.read_bytes())
    if where == "header":
        start = data.rindex(b"d.png")
        data[start + 3] ^= 1
    else:
        del data[data.rindex(b"d.png") :]
    path.write_bytes(data)


@pytest.mark.parametrize("write", [write_tar, write_tar_of_tars])
@pytest.mark.parametrize("where", ["header", "end"])
def test_a_damaged_tar_is_not_taken_for_a_shorter_one(write, where, tmp_path):
    path = tmp_path / "archive.tar"
    write(path)
    damage(path, where)
    with pytest.raises(UserError, match="archive.tar cannot be read as a zip or"):
        load_data(Config(dataset="folder", data_dir=str(path), image_size=32))


def test_hidden_archives_and_archives_in_them_are_left_out(tmp_path):
    deep = io.BytesIO()
    write_tar(deep, ["deep.png"])
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        add_to_tar(archive, "a.png", encode(1))
        add_to_tar(archive, "deep.tar", deep.getvalue())
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        add_to_tar(archive, "._n1.tar", b"not an archive")
        add_to_tar(archive, "n1.tar", inner.getvalue())
        add_to_tar(archive, "last.png", encode(2))
    source = open_source(Config(dataset="folder", data_dir=str(path)))
    assert source.names == ["last.png", "n1/a.png"]


def test_a_picture_is_no_archive(tmp_path):
    path = tmp_path / "a.JPG"
    path.write_bytes(encode(1))
    config = Config(dataset="folder", data_dir=str(path))
    with pytest.raises(UserError, match=f"one picture.*--data_dir={tmp_path}"):
        open_source(config)
