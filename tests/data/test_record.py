import os
import zlib

import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import load_data
from sagan_tf.data.prepared import LoadedData
from sagan_tf.data.record import check_record, make_record
from sagan_tf.errors import UserError


def write_picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        write_picture(tmp_path / "data" / f"{number}.png", 10 * number)
    return tmp_path / "data"


def record(folder, **settings):
    settings = {"dataset": "folder", "data_dir": str(folder), **settings}
    return make_record(load_data(Config(image_size=8, channels=1, **settings)))


def in_memory(images, labels):
    checksums = np.array([zlib.crc32(image.data) for image in images], np.uint32)
    return LoadedData(images, labels, checksums, np.arange(len(images)), [], [], "some")


def test_the_first_data_are_kept_and_the_same_are_accepted(folder, tmp_path):
    for _ in range(2):
        check_record(tmp_path / "run", record(folder), accept=False)
    assert (tmp_path / "run" / "data.json").exists()


def test_a_moved_or_copied_folder_is_the_same(folder, tmp_path):
    check_record(tmp_path, record(folder), accept=False)
    moved = folder.rename(tmp_path / "elsewhere")
    for path in moved.iterdir():
        os.utime(path, (1, 1))
    check_record(tmp_path, record(moved), accept=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: write_picture(f / "9.png", 3), r"of 4 files, 1 added \(9.png\)\."),
        (lambda f: (f / "2.png").unlink(), r"1 removed \(2.png\)\."),
        (lambda f: write_picture(f / "1.png", 99), r"1 replaced \(1.png\)\."),
        (
            lambda f: (f / "0.png").rename(f / "7.png"),
            r"1 added \(7.png\); 1 removed \(0.png\)\.",
        ),
        (
            lambda f: [write_picture(f / f"a{i}.png", i) for i in range(7)],
            r"7 added \(a0.png, a1.png, a2.png, a3.png, a4.png, \.\.\.\)",
        ),
    ],
)
def test_changes_are_named_and_refused_until_they_are_accepted(
    folder, tmp_path, change, message
):
    check_record(tmp_path, record(folder), accept=False)
    before = (tmp_path / "data.json").read_text()
    change(folder)
    with pytest.raises(UserError, match=f"no longer those.*{message}") as error:
        check_record(tmp_path, record(folder), accept=False)
    assert "--accept_changed_data" in str(error.value)
    assert (tmp_path / "data.json").read_text() == before
    check_record(tmp_path, record(folder), accept=True)
    check_record(tmp_path, record(folder), accept=False)


def test_other_sources_are_compared_as_a_whole(tmp_path):
    data = load_data(Config(dataset="digits", image_size=32, channels=1))
    check_record(tmp_path, make_record(data), accept=False)
    # Whether they are a memory map or in memory.
    same = in_memory(np.array(data.images), data.labels)
    check_record(tmp_path, make_record(same), accept=False)
    images, labels = data.images, data.labels
    for changed in (
        in_memory(images[:-1], labels[:-1]),
        in_memory(images, labels[::-1].copy()),
        in_memory(images ^ 1, labels),
    ):
        with pytest.raises(UserError, match="1,797 images then, 1,79. images now"):
            check_record(tmp_path, make_record(changed), accept=False)


@pytest.mark.parametrize("text", ["", "[]", '{"sha256": 3}', '{"sha256": "a"}'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "data.json").write_text(text)
    new = {"num_images": 1, "sha256": "a"}
    with pytest.raises(UserError, match="data.json is damaged"):
        check_record(tmp_path, new, accept=False)
