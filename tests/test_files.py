import errno
import os
import socket

import pytest

from sagan_tf.errors import UserError
from sagan_tf.files import (
    delete_partial,
    partial_path,
    read_json,
    read_text,
    replacing,
    set_aside,
    unused_path,
    write_text,
)
from sagan_tf.text import printable


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
    host, own, running = socket.gethostname(), os.getpid(), os.getppid()
    ended = 2**22 + 1  # above the largest number that Linux gives to processes
    kept = [f".partial-{host}-{running}-b.png", f".partial-other-{ended}-b.png"]
    for name in (*kept, f".partial-{host}-{ended}-b.png", f".partial-{host}-{own}-b"):
        (tmp_path / "samples" / name).touch()
    (tmp_path / "samples" / f".partial-{host}-{ended}-model" / "x").mkdir(parents=True)
    delete_partial(tmp_path / "samples")
    assert names(tmp_path / "samples") == sorted([*kept, "a.png"])


def test_a_folder_that_could_not_be_replaced_is_back(tmp_path, monkeypatch):
    with replacing(tmp_path / "a") as partial:
        partial.mkdir()
        (partial / "one").touch()
    replace = os.replace

    def fail(source, target):
        if target == tmp_path / "a" and "former" not in source.name:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="a cannot be"):
        patch.setattr(os, "replace", fail)
        with replacing(tmp_path / "a") as partial:
            partial.mkdir()
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["one"]
    # Killed between the two renames, it comes back at the next start.
    former = partial_path(tmp_path / "a", ".partial-former-")
    (tmp_path / "a").rename(former)
    delete_partial(tmp_path)
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["one"]


def test_a_half_written_file_is_no_former_one_whatever_its_name(tmp_path):
    partial_path(tmp_path / "former-a.png").write_text("half")
    delete_partial(tmp_path)
    assert names(tmp_path) == []


def test_existing_files_and_folders_get_a_number(tmp_path):
    path, folder = tmp_path / "a.b.png", tmp_path / "folder"
    assert unused_path(path) == path and unused_path(folder) == folder
    path.touch()
    folder.mkdir()
    assert unused_path(path) == tmp_path / "a.b_2.png"
    assert unused_path(folder) == tmp_path / "folder_2"
    (tmp_path / "a.b_2.png").touch()
    (tmp_path / "a.b_4.png").touch()
    assert unused_path(path) == tmp_path / "a.b_3.png"


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


def test_a_link_leads_to_what_is_new(tmp_path):
    for name, folder in (("a.txt", False), ("export", True)):
        own = tmp_path / "disk" / name
        own.parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(own, target_is_directory=folder)
        for text in ("old", "new"):
            with replacing(tmp_path / name) as partial:
                if folder:
                    partial.mkdir()
                (partial / "b" if folder else partial).write_text(text)
        assert (tmp_path / name).is_symlink()
        assert (own / "b" if folder else own).read_text() == "new"
