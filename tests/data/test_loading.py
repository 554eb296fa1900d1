import dataclasses
import io
import logging
import os
import shutil
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import decoding, load_images
from sagan_tf.data.loading import load_attributes, load_data
from sagan_tf.data.sources import Digits, Folder, open_source
from sagan_tf.errors import UserError


@pytest.fixture
def config(tmp_path):
    """The config of a folder with one readable image."""
    Image.new("RGB", (40, 40), (7, 7, 7)).save(tmp_path / "good.png")
    return Config(dataset="folder", data_dir=str(tmp_path), image_size=32)


def test_unreadable_files_are_skipped_counted_and_named(
    config, tmp_path, caplog, monkeypatch
):
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.gif").write_text("<html>")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    Image.new("RGB", (200, 200)).save(tmp_path / "bomb.png")
    with caplog.at_level(logging.WARNING):
        images, _ = load_images(config)
    assert len(images) == 1
    assert "Skipped 4 files" in caplog.text
    for name in ("cut.png", "empty.jpg", "text.gif", "bomb.png"):
        assert name in caplog.text


@pytest.mark.parametrize("archive", [False, True])
def test_pictures_of_other_formats_are_named(archive, config, tmp_path):
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "notes.txt").write_text("no picture")
    if archive:
        path = shutil.make_archive(str(tmp_path.parent / "all"), "zip", tmp_path)
        config = dataclasses.replace(config, data_dir=path)
    loaded = load_data(config)
    said = "phone.HEIC (not supported: convert it to JPEG or PNG)"
    assert len(loaded.images) == 1 and loaded.skipped == [said]


@pytest.mark.parametrize("archive", [False, True])
def test_a_folder_without_a_supported_picture_is_no_class(archive, tmp_path):
    root = tmp_path / "all"
    for name in ("cat/a.png", "dog/b.png"):
        (root / name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(root / name)
    (root / "phone").mkdir()
    (root / "phone" / "c.heic").write_bytes(b"")
    path = root
    if archive:
        path = shutil.make_archive(str(tmp_path / "zipped"), "zip", root)
    config = Config(dataset="folder", data_dir=str(path), image_size=32)
    assert open_source(config).class_names() == ("cat", "dog")
    assert load_data(config).labels.tolist() == [0, 1]


def test_pictures_below_the_crop_are_named(config, tmp_path):
    Image.new("RGB", (30, 60)).save(tmp_path / "small.png")
    loaded = load_data(dataclasses.replace(config, crop_size=32))
    assert loaded.skipped == ["small.png (smaller than the crop of 32 px)"]


def test_a_folder_without_readable_images_is_an_error(config, tmp_path):
    for name in ("good.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match="No image of .* can be read: "):
        load_images(config)


def test_the_names_of_the_kept_images_are_returned(tmp_path):
    for name in ("b/two.png", "a/\u00e9 \n.png", "one.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    (tmp_path / "b" / "bad.png").write_bytes(b"x")
    config = Config(dataset="folder", data_dir=str(tmp_path), image_size=32)
    loaded = load_data(config)
    assert loaded.names == ["a/\u00e9 \n.png", "b/two.png", "one.png"]
    assert loaded.labels.tolist() == [0, 1, -1]
    assert loaded.skipped == ["b/bad.png (not an image)"]
    images, labels = load_images(config)
    np.testing.assert_array_equal(images, loaded.images)
    np.testing.assert_array_equal(labels, loaded.labels)
    assert load_data(Config(image_size=32, channels=1), 3).names == []


def test_all_skipped_files_are_returned_and_ten_are_named(config, tmp_path, caplog):
    for number in range(25):
        (tmp_path / f"bad{number:02}.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    with caplog.at_level(logging.WARNING):
        loaded = load_data(config)
    assert len(loaded.skipped) == 26 and len(loaded.images) == 1
    assert "Skipped 26 files" in caplog.text and "and 16 more" in caplog.text
    assert caplog.text.count("bad") == 9  # and the pipe


def test_control_characters_are_escaped_wherever_they_are_printed(
    tmp_path, caplog, monkeypatch
):
    root = tmp_path / "a\x1b[2J\n"
    (root / "\x1b]0;title\x07").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(root / "\x1b]0;title\x07" / "good.png")
    (root / "bad\x1b[31m\n.png").write_bytes(b"x")
    (root / os.fsdecode(b"bad\xff.png")).write_bytes(b"x")
    described = []
    monkeypatch.setattr(
        decoding,
        "tqdm",
        lambda items, desc, **_: described.append(desc) or items,
    )
    with caplog.at_level(logging.WARNING):
        loaded = load_data(Config(dataset="folder", data_dir=str(root), image_size=32))
    assert loaded.skipped == [
        r"bad\x1b[31m\n.png (not an image)",
        r"bad\udcff.png (not an image)",
    ]
    (record,) = caplog.records
    for text in (record.getMessage(), *described):
        assert text.isprintable() and r"a\x1b[2J\n" in text
    assert len(described) == 1


def png(width, height):
    """Returns a PNG file that claims a size, and holds no pixels."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", checksum)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_huge_pictures_are_skipped_with_a_reason(size, config, tmp_path):
    """The first is between Pillow's limit and twice that, where Pillow only warns."""
    (tmp_path / "huge.png").write_bytes(png(*size))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        loaded = load_data(config)
    assert loaded.skipped == ["huge.png (too large: more than 89,478,485 pixels)"]
    assert not warned and len(loaded.images) == 1


def test_damaged_tags_are_no_reason_to_warn(config, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    exif[0x010E] = "x" * 100
    picture = Image.new("RGB", (40, 40))
    content = exif.tobytes()
    picture.save(tmp_path / "damaged.jpg", exif=content[: len(content) - 90])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        loaded = load_data(config)
    assert len(loaded.images) == 2 and not warned


def test_large_pictures_are_decoded_one_after_the_other(config, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_LARGE", 40 * 40)
    for number in range(70):  # two chunks
        Image.new("RGB", (40, 41)).save(tmp_path / f"{number}.png")
    at_once, most = [0], [0]

    def prepare(picture, *_):
        at_once[0] += picture.height > 40
        most[0] = max(most[0], at_once[0])
        time.sleep(0.002)
        at_once[0] -= picture.height > 40
        return np.zeros((32, 32, 3), np.uint8)

    monkeypatch.setattr(decoding, "prepare_image", prepare)
    assert len(load_data(config).images) == 71
    assert most == [1]


def test_more_images_than_announced_are_an_error(config, monkeypatch):
    pictures = Folder.pictures
    monkeypatch.setattr(
        Folder, "pictures", lambda self: (1, iter([*pictures(self)[1]] * 2))
    )
    with pytest.raises(UserError, match="has more than 1 images"):
        load_data(config)


def test_any_failure_of_a_decoder_skips_its_file(config, tmp_path):
    """One of many mutated files; some fail with `struct.error`."""
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), (1, 2, 3)).save(buffer, "TIFF")
    whole = bytearray(buffer.getvalue())
    random = np.random.default_rng(0)
    for number in range(200):
        mutated = whole.copy()
        for _ in range(3):
            mutated[random.integers(len(mutated))] = random.integers(256)
        (tmp_path / f"{number}.tif").write_bytes(mutated)
    loaded = load_data(config)
    assert len(loaded.images) + len(loaded.skipped) == 201
    assert all(line.isprintable() for line in loaded.skipped)


def test_a_part_is_chosen_by_the_seed_and_keeps_labels_and_attributes(monkeypatch):
    rows = np.arange(1797 * 2).reshape(1797, 2)
    monkeypatch.setattr(Digits, "attributes", lambda self: rows)
    config = Config(image_size=32, channels=1, seed=3)
    images, labels = load_images(config)
    some, some_labels = load_images(config, 50)
    chosen = load_attributes(config, 50)[:, 0] // 2
    assert len(chosen) == 50 and (np.diff(chosen) > 0).all() and chosen[-1] > 1000
    np.testing.assert_array_equal(some, images[chosen])
    np.testing.assert_array_equal(some_labels, labels[chosen])
    other = load_attributes(Config(image_size=32, channels=1, seed=4), 50)
    assert (other[:, 0] // 2 != chosen).any()
    for num_images in (None, 1797, 2000):
        assert load_attributes(config, num_images) is rows
