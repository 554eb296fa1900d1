import errno
import os

import pytest

from sagan_tf.errors import UserError, printable
from sagan_tf.files import (
    delete_partial,
    read_json,
    read_text,
    replacing,
    set_aside,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    with replacing(path) as partial:
        partial.write_text("two")
        assert path.read_text() == "one"
        assert partial.suffix == ".txt"
    assert path.read_text() == "two"
    assert names(path.parent) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "a") as partial:
            partial.mkdir()
            (partial / content).touch()
    assert names(tmp_path / "a") == ["two"]
    assert names(tmp_path) == ["a"]


def test_a_failed_write_changes_nothing_and_names_the_path(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "one")
    message = "a.txt cannot be written: No space left on device. What was there before"
    with pytest.raises(UserError, match=message), replacing(path) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "one"
    assert names(tmp_path) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="a/b.txt cannot be written: File exists"):
        write_text(tmp_path / "a" / "b.txt", "")


def test_leftovers_of_killed_processes_are_deleted(tmp_path):
    write_text(tmp_path / "samples" / "a.png", "")
    ended = 2**22 + 1  # above the largest number that Linux gives to processes
    running = f".partial-{os.getpid()}-b.png"
    for name in (running, ".partial-x-b.png", f".partial-{ended}-b.png"):
        (tmp_path / "samples" / name).touch()
    (tmp_path / "samples" / f".partial-{ended}-saved_model" / "x").mkdir(parents=True)
    delete_partial(tmp_path / "samples")
    assert names(tmp_path / "samples") == [running, ".partial-x-b.png", "a.png"]


def test_damaged_files_are_named_or_set_aside(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="a.json is damaged: it is no UTF-8 text"):
        read_text(path)
    path.write_text("{")
    with pytest.raises(UserError, match="a.json is damaged: Expecting"):
        read_json(path)
    set_aside(path, "it is damaged")
    assert names(tmp_path) == ["a.json.damaged"]
    assert "a.json: it is damaged. It is kept as a.json.damaged" in caplog.text


def test_control_characters_are_escaped():
    assert printable("a\nb\x1b[2Jé犬\ud800") == "a\\nb\\x1b[2Jé犬\\ud800"
    assert str(UserError("no file \x07")) == "no file \\x07"
