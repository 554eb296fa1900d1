import logging

import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import load_images, loading
from sagan_tf.data.loading import load_attributes
from sagan_tf.data.sources import Digits
from sagan_tf.errors import UserError


@pytest.fixture
def config(tmp_path):
    """The config of a folder with one readable image."""
    Image.new("RGB", (40, 40), (7, 7, 7)).save(tmp_path / "good.png")
    return Config(dataset="folder", data_dir=str(tmp_path), image_size=32)


def test_unreadable_files_are_skipped_counted_and_named(
    config, tmp_path, caplog, capsys, monkeypatch
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
    assert f"1 image of {tmp_path}, 32 px" in capsys.readouterr().out
    assert "Skipped 4 unreadable" in caplog.text
    for name in ("cut.png", "empty.jpg", "text.gif", "bomb.png"):
        assert name in caplog.text


def test_a_folder_without_readable_images_is_an_error(config, tmp_path):
    for name in ("good.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match="None of the 2 images"):
        load_images(config)


def test_images_that_do_not_fit_memory_are_on_disk(config, monkeypatch):
    class Memory:
        total = 1000

    monkeypatch.setattr(loading.psutil, "virtual_memory", Memory)
    images, _ = load_images(config)
    assert isinstance(images, np.memmap)
    assert (images == 7).all()

    class Disk:
        free = 1000

    monkeypatch.setattr(loading.shutil, "disk_usage", lambda path: Disk)
    with pytest.raises(UserError, match="Set TMPDIR"):
        load_images(config)


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
