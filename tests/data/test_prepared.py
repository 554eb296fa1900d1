import os
import random
import shutil
import signal
import subprocess
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

from sagan_tf import train
from sagan_tf.cache import cache_dir
from sagan_tf.commands.main import run_command
from sagan_tf.config import Config
from sagan_tf.data import load_data, load_images, open_source, prepared
from sagan_tf.data.prepared import hash_data, list_prepared, open_prepared
from sagan_tf.data.record import make_record
from sagan_tf.errors import UserError
from tests.processes import call, start
from tests.training.test_faults import FullDisk


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def write_pictures(folder, count, size=40):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")


@pytest.fixture
def config(tmp_path):
    """The config of a folder with two classes, and two files that are no images."""
    for name, count in (("cat", 30), ("dog", 20)):
        write_pictures(tmp_path / "data" / name, count)
        (tmp_path / "data" / name / "0007.png").write_text("no image")
    return Config(dataset="folder", data_dir=str(tmp_path / "data"), image_size=32)


def assert_equal(first, second):
    for own, other in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(own, other)
    assert first.names == second.names and first.skipped == second.skipped
    assert make_record(first) == make_record(second)


def count_decoded(monkeypatch):
    decoded = []
    original = prepared.decode

    def decode(*arguments):
        for picture, result in original(*arguments):
            decoded.append(picture.name)
            yield picture, result

    monkeypatch.setattr(prepared, "decode", decode)
    return decoded


def test_images_are_decoded_once(config, monkeypatch):
    decoded = count_decoded(monkeypatch)
    first = load_data(config)
    assert len(decoded) == 50 and len(first.images) == 48
    second = load_data(config)
    assert len(decoded) == 50
    assert_equal(first, second)
    assert second.sha256 == hash_data(np.array(second.images), second.labels)
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable
    source = open_source(config)
    expected = [
        np.asarray(picture.open().resize((32, 32), Image.Resampling.LANCZOS))
        for picture in source.pictures()[1]
        if not picture.name.endswith("0007.png")
    ]
    np.testing.assert_array_equal(second.images, expected)
    assert second.labels.tolist() == [0] * 29 + [1] * 19
    assert second.positions.tolist() == [n for n in range(50) if n not in (7, 37)]
    assert [line.split()[0] for line in second.skipped] == [
        *("cat/0007.png", "dog/0007.png")
    ]


def test_what_decides_the_images_has_data_of_its_own(config, tmp_path):
    write_pictures(tmp_path / "data" / "cat", 30)
    changes = [{}, {"channels": 1}, {"image_size": 64}, {"crop_size": 20}]
    for number, change in enumerate(changes):
        load_data(Config(**{**vars(config), **change}))
        assert len(list_prepared()) == number + 1
    (tmp_path / "data" / "cat" / "0000.png").unlink()
    assert len(load_data(config).images) == 48
    path = tmp_path / "data" / "cat" / "0001.png"
    write_pictures(tmp_path / "other", 3)
    shutil.copy(tmp_path / "other" / "0002.png", path)
    assert load_data(config).names[0] == "cat/0001.png"
    np.testing.assert_array_equal(
        load_data(config).images[0],
        Image.open(path).resize((32, 32), Image.Resampling.LANCZOS),
    )


def test_a_part_is_the_same_whether_all_are_prepared_or_not(config):
    os.mkfifo(os.path.join(config.data_dir, "pipe.png"))
    alone = [load_data(config, count) for count in (3, 20, 40)]
    assert not list_prepared()
    assert [len(part.skipped) for part in alone] == [1, 1, 3]  # with the pipe
    load_data(config)
    for part, count in zip(alone, (3, 20, 40), strict=True):
        assert_equal(part, load_data(config, count))
    assert_equal(load_data(config, 500), load_data(config))


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop", [0, 1, 9, 40, 49])
def test_preparing_resumes_where_it_was_stopped(config, stop, monkeypatch, tmp_path):
    expected = load_data(config)
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache2"))
    monkeypatch.setattr(prepared, "_SECONDS_BETWEEN_SAVES", -1.0)
    original = prepared.decode

    def decode(*arguments):
        for number, found in enumerate(original(*arguments)):
            if number == stop:
                raise Stop
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(prepared, "decode", decode)
        with pytest.raises(Stop):
            load_data(config)
    (entry,) = list_prepared()
    assert entry.name.endswith(".partial") and "resumes from here" in entry.description
    with open(cache_dir() / "prepared" / entry.name / "images.bin", "ab") as file:
        file.write(b"half an image")  # after the last save
    decoded = count_decoded(monkeypatch)
    assert_equal(expected, load_data(config))
    assert len(decoded) == 50 - stop


def test_a_damaged_progress_is_no_reason_to_fail(config, monkeypatch):
    load_data(config)
    (entry,) = list_prepared()
    folder = cache_dir() / "prepared" / entry.name
    partial = folder.rename(folder.with_name(f"{folder.name}.partial"))
    (partial / "progress.npz").write_bytes(b"x")
    decoded = count_decoded(monkeypatch)
    load_data(config)
    assert len(decoded) == 50


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b""),
        ("manifest.json", b"{}"),
        ("manifest.json", b'{"checksums": {}, "shape": [3]}'),
        ("names.json", b"[]"),
        ("arrays.npz", b"x"),
        ("images.bin", b"x"),
        ("images.bin", None),
        ("arrays.npz", None),
    ],
)
def test_damaged_files_are_prepared_anew(config, name, content, caplog):
    mapped = load_data(config)
    # Of a truncated file, no memory map can be read.
    expected = mapped._replace(images=np.array(mapped.images))
    path = expected.path / name
    path.unlink() if content is None else path.write_bytes(content)
    assert_equal(expected, load_data(config))
    assert any("is damaged" in record.getMessage() for record in caplog.records)


def flip_bit(path, position):
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 16]))


def test_a_flipped_bit_is_found_where_its_image_is_used(config, tmp_path, capsys):
    data = load_data(config)
    path = data.path
    flip_bit(path / "images.bin", 11 * 32 * 32 * 3 + 5)
    data = load_data(config)
    data.take(np.array([10, 12]))
    message = "is damaged: image 11 has another checksum"
    for use in (
        lambda: data.take(np.array([3, 11])),
        lambda: load_images(config),
        lambda: load_images(config, 500),
    ):
        with pytest.raises(UserError, match=message):
            use()
    small = {"batch_size": 8, "width": 8, "steps": 6, "workdir": str(tmp_path / "run")}
    with pytest.raises(UserError, match=message) as error:
        train(Config(**{**vars(config), **small, "architecture": "dcgan"}))
    # The command of the message helps.
    assert str(error.value).endswith(f"sagan_tf prepare --delete={path.name}")
    assert run_command(["prepare", f"--delete={path.name}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Deleted {path.name}"
    load_images(config)


def test_a_full_disk_is_said_before_anything_is_decoded(config, monkeypatch):
    decoded = count_decoded(monkeypatch)
    disk = types.SimpleNamespace(free=1000)
    monkeypatch.setattr(prepared.shutil, "disk_usage", lambda _: disk)
    with pytest.raises(UserError, match="free. Give a folder .* --cache_dir=DIR"):
        load_data(config)
    assert not decoded


def test_a_failed_write_is_one_line_and_preparing_resumes(
    config, monkeypatch, tmp_path
):
    expected, failed = load_data(config), set()
    monkeypatch.setattr(prepared, "_SECONDS_BETWEEN_SAVES", -1.0)
    for number in range(1, 60):
        monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / str(number)))
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, number, before=number % 2 == 0)
            try:
                load_data(config)
            except UserError as error:
                path = disk.writes[number - 1]
                assert f"{path} cannot be written: No space left" in str(error)
                failed.add(os.path.basename(path))
        assert_equal(expected, load_data(config))
        assert [entry.name for entry in list_prepared()] == [expected.path.name]
    names = {"progress.npz", "names.json", "arrays.npz", "manifest.json"}
    assert failed > names


def test_a_cache_that_cannot_be_written_is_named(config, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="file/prepared cannot .* --cache_dir=DIR"):
        load_data(config)

    def acquire(*_, **__):
        raise NotImplementedError("no locks")

    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared.filelock.FileLock, "acquire", acquire)
    with pytest.raises(UserError, match="no locks. Give another folder: --cache_dir"):
        load_data(config)


def test_a_second_process_waits_for_the_first(config, monkeypatch, capsys):
    decoded = count_decoded(monkeypatch)
    original, begun = prepared._append, threading.Event()

    def append(*arguments):
        begun.set()
        time.sleep(0.5)
        original(*arguments)

    monkeypatch.setattr(prepared, "_append", append)
    results = []
    first = threading.Thread(target=lambda: results.append(load_data(config)))
    first.start()
    assert begun.wait(10)
    results.append(load_data(config))
    first.join()
    assert len(decoded) == 50
    assert_equal(*results)
    assert "Waiting for another process" in capsys.readouterr().out


def test_the_command_prepares_lists_and_deletes(config, tmp_path, capsys):
    data = ["--dataset=folder", f"--data_dir={config.data_dir}", "--image_size=32"]
    cache = f"--cache_dir={tmp_path / 'elsewhere'}"
    assert run_command(["prepare", *data, cache]) == 0
    path = capsys.readouterr().out.splitlines()[-1].removeprefix("Prepared: ")
    assert path.startswith(str(tmp_path / "elsewhere" / "prepared" / "folder-32-"))
    name = os.path.basename(path)
    assert run_command(["prepare", "--list", cache]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{name}  0.1 MiB  48 images of ") and "32 px" in line
    for arguments in (["--delete=no"], ["--list", f"--delete={name}"]):
        assert run_command(["prepare", *arguments, cache]) == 1
    assert name in capsys.readouterr().err
    assert run_command(["prepare", f"--delete={name}", cache]) == 0
    assert run_command(["prepare", "--list", cache]) == 0
    assert capsys.readouterr().out.endswith("There are no prepared data\n")


KILLS = int(os.environ.get("KILLS", 6))  # 20 were tried


@pytest.mark.exhaustive
def test_kills_at_random_moments_and_two_processes_change_nothing(tmp_path):
    write_pictures(tmp_path / "data", 3000, size=100)
    folder = f"--data_dir={tmp_path / 'data'}"
    command = ("-m", "sagan_tf", "prepare", "--dataset=folder", folder)
    command += ("--image_size=64",)

    def prepare(cache, **kwargs):
        return start(*command, f"--cache_dir={tmp_path / cache}", **kwargs)

    begun = time.monotonic()
    processes = [prepare("undisturbed") for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    longest = time.monotonic() - begun
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("Waiting for another" in out for out, _ in outputs) <= 1
    moments, kills = random.Random(0), 0
    while kills < KILLS:
        process = prepare("killed")
        try:
            process.communicate(timeout=moments.uniform(0, longest))
            shutil.rmtree(tmp_path / "killed")  # it was complete: from the beginning
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
    code, _, stderr = call(*command, f"--cache_dir={tmp_path / 'killed'}")
    assert code == 0, stderr
    contents = [
        {
            path.name: path.read_bytes()
            for path in (tmp_path / cache / "prepared").glob("*/*")
            if path.name != "arrays.npz"  # which holds the time
        }
        for cache in ("undisturbed", "killed")
    ]
    assert contents[0] == contents[1] and len(contents[0]) == 3
    config = Config(dataset="folder", data_dir=str(tmp_path / "data"), image_size=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGAN_TF_CACHE", str(tmp_path / "killed"))
        data = open_prepared(config, open_source(config))
        data.verify()
    assert len(data.images) == 3000


def test_prepared_data_that_are_deleted_or_cut_while_they_are_used(tmp_path, config):
    data = load_data(config)
    images, _ = data.take(np.array([3, 1]))
    np.testing.assert_array_equal(images, data.images[[3, 1]])
    path = data.path / "images.bin"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match="is damaged: image 40 has another checksum"):
        data.take(np.array([40]))
    shutil.rmtree(data.path)
    again = load_data(config)
    shutil.rmtree(again.path)
    np.testing.assert_array_equal(again.take(np.array([3, 1]))[0], images)
