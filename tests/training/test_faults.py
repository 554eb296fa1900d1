"""Runs whose files cannot be written, have changed or are damaged.

The slow tests let the first write of each kind fail; with EVERY_WRITE=1, every write.
"""

import contextlib
import dataclasses
import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import load_run, train
from sagan_tf.commands.main import run_command
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import classifier
from sagan_tf.signals import Interrupted
from sagan_tf.training.evaluation import Evaluation
from sagan_tf.training.train import _check_resumable
from tests.comparison import assert_same_checkpoint, last_checkpoint, read_log
from tests.processes import TINY, pixels, start
from tests.training.test_lock import HOLD

CONFIG = Config(
    image_size=32,
    channels=1,
    width=8,
    batch_size=8,
    steps=3,
    log_interval=2,
    sample_interval=2,
    checkpoint_interval=2,
    num_samples=4,
    generator_attention_resolutions=(8,),
    discriminator_attention_resolutions=(8,),
)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The directory of an undisturbed run, and what it wrote."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, 0, False)
        train(dataclasses.replace(CONFIG, workdir=str(workdir)))
    return workdir, disk.writes


@pytest.fixture(scope="module")
def undisturbed(counted):
    return counted[0]


def assert_same_run(workdir, other):
    assert_same_checkpoint(last_checkpoint(workdir), last_checkpoint(other))
    first, second = (read_log(w / "logs" / "metrics.csv") for w in (workdir, other))
    assert first == second
    for path in (other / "samples").iterdir():
        own = workdir / "samples" / path.name
        np.testing.assert_array_equal(pixels(own), pixels(path))


class FullDisk:
    """Lets the n-th write of a run fail, before or after the data are written."""

    def __init__(self, monkeypatch, number, before):
        from sagan_tf import files

        self.writes, self.number, self.before = [], number, before
        self._original = files.write_errors
        for module in (files, *map(_module, ("checkpoints", "lock", "logs"))):
            monkeypatch.setattr(module, "write_errors", self._write_errors)

    @contextlib.contextmanager
    def _write_errors(self, path, failures=()):
        with self._original(path, failures):
            self.writes.append(path)
            fails = len(self.writes) == self.number
            if fails and self.before:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield
            if fails:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _module(name):
    import importlib

    return importlib.import_module(f"sagan_tf.training.{name}")


def assert_nothing_partial(workdir):
    partial = [p for p in Path(workdir).rglob("*") if ".partial" in p.name]
    assert not partial


@pytest.mark.parametrize(
    "part", [pytest.param("all", marks=pytest.mark.exhaustive), "a checkpoint"]
)
def test_after_a_failed_write_the_run_resumes(part, tmp_path, counted, monkeypatch):
    undisturbed, writes = counted
    assert len(writes) > 10
    seen = set()
    for number in numbers_of_kinds(writes) if part == "all" else [len(writes) // 2]:
        workdir = tmp_path / str(number)
        config = dataclasses.replace(CONFIG, workdir=str(workdir))
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, number, before=number % 2 == 0)
            with pytest.raises(UserError) as error:
                train(config)
        failed = disk.writes[number - 1]
        assert f"{failed} cannot be written: No space left" in str(error.value)
        assert_nothing_partial(tmp_path)
        seen.add(Path(failed).name)
        train(config)
        assert_same_run(workdir, undisturbed)
        shutil.rmtree(workdir)
    if part == "all":
        assert seen >= {
            *("config.json", "data.json", ".lock.json", "metrics.csv", "tensorboard"),
            *("000002.png", "step-2", "step-3", "000003.png", "saved_model"),
        }


def numbers_of_kinds(writes):
    """Returns the numbers of the first write of each kind, or of all; from 1."""
    if os.environ.get("EVERY_WRITE"):
        return range(1, len(writes) + 1)
    names = [Path(path).name for path in writes]
    return [names.index(name) + 1 for name in dict.fromkeys(names)]


def best(workdir):
    (index,) = (workdir / "checkpoints" / "best").glob("*.index")
    return index.with_suffix("")


@pytest.fixture
def quick_classifier(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "_MAX_STEPS", 60)


@pytest.mark.exhaustive
def test_after_a_failed_write_of_an_evaluation_the_run_resumes(
    tmp_path, monkeypatch, quick_classifier
):
    """Scores, the best checkpoint, and what is cached: those writes that are new."""

    def evaluated(folder):
        monkeypatch.setenv("SAGAN_TF_CACHE", str(folder / "cache"))
        return dataclasses.replace(
            CONFIG,
            workdir=str(folder / "run"),
            evaluation_interval=2,
            evaluation_images=50,
        )

    with monkeypatch.context() as patch:
        writes = FullDisk(patch, 0, False).writes
        train(evaluated(tmp_path))
    # Others are those of runs without evaluations, and of tests/data/test_prepared.py.
    new = {
        number: path.parent.name
        for number, path in enumerate(map(Path, writes), start=1)
        if {"cache", "best", "evaluation.csv"} & {*path.parts}
        and "prepared" not in path.parts
    }
    kinds = {"classifiers", "features", "yardsticks", "logs", "best"}
    assert {*new.values()} == kinds
    if not os.environ.get("EVERY_WRITE"):
        new = {max(n for n in new if new[n] == kind): kind for kind in kinds}
    for number in sorted(new):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, number, before=number % 2 == 0)
            with pytest.raises(UserError) as error:
                train(evaluated(folder))
        failed = Path(disk.writes[number - 1])
        assert f"{failed} cannot be written: No space left" in str(error.value)
        assert_nothing_partial(folder)
        train(evaluated(folder))
        assert_same_run(folder / "run", tmp_path / "run")
        first, second = (
            read_log(w / "run" / "logs" / "evaluation.csv") for w in (folder, tmp_path)
        )
        assert first == second and len(first) == 2
        assert_same_checkpoint(*(best(w / "run") for w in (folder, tmp_path)))
        shutil.rmtree(folder)


@pytest.mark.slow
def test_the_last_evaluation_is_made_up_for(tmp_path, monkeypatch, quick_classifier):
    """An interruption during it saves the last step, so the run is complete."""
    config, other = (
        dataclasses.replace(
            CONFIG,
            workdir=str(tmp_path / name),
            evaluation_interval=3,
            evaluation_images=50,
        )
        for name in ("run", "undisturbed")
    )
    train(other)
    original = Evaluation._evaluate

    def interrupt(self, step):
        if step == 3:
            raise Interrupted(signal.SIGTERM)
        original(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "_evaluate", interrupt)
        with pytest.raises(Interrupted):
            train(config)
    assert len(read_log(tmp_path / "run" / "logs" / "evaluation.csv")) == 1
    for _ in range(2):  # once it is there, nothing is added
        train(config)
        first, second = (
            read_log(tmp_path / name / "logs" / "evaluation.csv")
            for name in ("run", "undisturbed")
        )
        assert first == second and [row["step"] for row in first] == ["0", "3"]
    names = [best(tmp_path / name) for name in ("run", "undisturbed")]
    assert names[0].name == names[1].name
    assert_same_checkpoint(*names)


@pytest.mark.exhaustive
def test_a_failed_write_of_an_evaluation_or_export_leaves_the_rest(
    tmp_path, undisturbed, monkeypatch, quick_classifier
):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    before = {
        path: path.read_bytes()
        for path in workdir.rglob("*.*")
        if path.is_file() and "export" not in path.parts
    }

    def evaluate_and_export():
        run = load_run(workdir)
        run.evaluate(extractor="classifier", num_images=50, force=True)
        run.export()
        run.sample()

    number, seen = 0, []
    while True:
        number += 1
        monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / f"cache{number}"))
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, number, before=number % 2 == 0)
            try:
                evaluate_and_export()
            except UserError as error:
                failed = disk.writes[number - 1]
                assert f"{failed} cannot be written: No space left" in str(error)
            else:
                break
        assert_nothing_partial(tmp_path)
        assert {path: path.read_bytes() for path in before} == before
        tf.saved_model.load(str(workdir / "export" / "saved_model"))
        seen.append(Path(failed).parent.name)
    assert {*seen} == {
        *("classifiers", "features", "yardsticks", "evaluation", "export", "samples")
    }


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a disk of so many KiB, or resizes it."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes):
        remount = "remount," if os.path.ismount(disk) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{remount}size={kilobytes}k"]
        with contextlib.suppress(FileNotFoundError):
            process = subprocess.run([*command, "tmpfs", disk], capture_output=True)
            if process.returncode == 0:
                return disk
        pytest.skip("mounting a disk needs root")

    yield mount
    if os.path.ismount(disk):
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.exhaustive
def test_a_run_on_a_full_disk_resumes_once_there_is_room(small_disk, workdir, capsys):
    kilobytes, reasons = 4, set()
    arguments = None
    for _ in range(200):
        disk = small_disk(kilobytes)
        arguments = ["train", f"--workdir={disk / 'run'}", *TINY, "--dataset=digits"]
        code = run_command(arguments)
        captured = capsys.readouterr()
        if code == 0:
            break
        error = captured.err.splitlines()[-1]
        assert code == 1 and error.startswith("Error: "), captured.err
        assert "Traceback" not in captured.err
        assert "cannot be written: No space left on device" in error
        reasons.add(error.split()[1].removeprefix(f"{disk}/run/").split("/")[0])
        assert_nothing_partial(disk)
        kilobytes = int(kilobytes * 1.35)
    assert code == 0
    assert reasons >= {"checkpoints", "logs"}
    assert_same_run(disk / "run", workdir)


@pytest.mark.exhaustive
def test_a_received_run_executes_nothing(tmp_path, workdir, capsys, quick_classifier):
    """Its config names a model that writes a file as soon as it is used."""
    model, written, run = (tmp_path / name for name in ("model", "written", "run"))

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 1])])
        def __call__(self, images):
            with tf.control_dependencies([tf.io.write_file(str(written), "x")]):
                return tf.reduce_mean(images, axis=[2, 3])

    tf.saved_model.save(Model(), str(model))
    shutil.copytree(workdir, run)
    settings = json.loads((run / "config.json").read_text())
    settings |= {"evaluation_extractor": str(model), "evaluation_interval": 1}
    (run / "config.json").write_text(json.dumps(settings))
    train_on = ["train", *TINY, "--steps=13", f"--evaluation_extractor={model}"]
    train_on += ["--evaluation_images=50", "--evaluation_interval=1"]
    for command, code in (
        (["train", *TINY, "--steps=13"], 1),
        (["sample"], 0),
        (["evaluate", "--num_images=50", "--extractor=classifier", "--force"], 0),
        (["doctor"], 0),
        *(([name], 0) for name in ("attend", "neighbors", "interpolate", "video")),
        (["export"], 0),
    ):
        assert run_command([*command, f"--workdir={run}"]) == code
        assert not written.exists(), command
        assert ("Models can execute code" in capsys.readouterr().err) == (code == 1)
    assert run_command([*train_on, f"--workdir={run}"]) == 0  # the user names it
    assert written.exists()


def test_a_run_without_its_config_is_not_begun_anew(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    (workdir / "config.json").unlink()
    with pytest.raises(UserError, match="holds checkpoints but no config.json"):
        train(dataclasses.replace(CONFIG, workdir=str(workdir)))


def test_a_run_with_only_damaged_checkpoints_is_not_begun_anew(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    for path in (workdir / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    before = sorted(p.name for p in (workdir / "checkpoints").iterdir())
    with pytest.raises(UserError, match="None of the checkpoints in"):
        train(dataclasses.replace(CONFIG, workdir=str(workdir)))
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == before


def test_a_run_that_lost_its_checkpoints_is_not_begun_anew(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="has lost its checkpoints: .* step 3"):
        train(dataclasses.replace(CONFIG, workdir=str(workdir)))


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints",
        *(
            pytest.param(n, marks=pytest.mark.exhaustive)
            for n in ("export", "logs", "samples")
        ),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_named(name, tmp_path):
    (tmp_path / name).touch()
    config = dataclasses.replace(CONFIG, workdir=str(tmp_path), steps=2)
    with pytest.raises(UserError, match=f"{name}.* cannot be written: (File|Not)"):
        train(config)


@pytest.mark.slow
def test_other_settings_are_refused_with_a_command_that_works(
    undisturbed, tmp_path, capsys
):
    workdir = tmp_path / "my run"
    shutil.copytree(undisturbed, workdir)
    changed = dataclasses.replace(
        CONFIG,
        workdir=str(workdir),
        generator_learning_rate=0.01,
        horizontal_flip=True,
        augmentation=("color", "cutout"),
        steps=5,
    )
    with pytest.raises(UserError, match="holds a run with other settings") as error:
        train(changed)
    message = str(error.value)
    assert "generator_learning_rate: 0.0001 -> 0.01" in message
    command = shlex.split(message.rpartition("python -m sagan_tf ")[2])
    assert run_command(command) == 0
    config = load_run(tmp_path / "my run_2").config
    for name in ("generator_learning_rate", "horizontal_flip", "augmentation"):
        assert getattr(config, name) == getattr(changed, name)
    assert "from the networks of" in capsys.readouterr().out
    # The same command resumes, and needs the former run no longer.
    shutil.rmtree(workdir)
    assert run_command([*command, "--steps=6"]) == 0
    assert load_run(tmp_path / "my run_2").step == 6
    command = message.partition("python -m sagan_tf ")[2].partition(". ")[0]
    assert shlex.split(command) == ["train", f"--workdir={workdir}"]


@pytest.mark.slow
def test_intervals_may_change_when_a_run_is_resumed(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    changed = dataclasses.replace(
        CONFIG,
        workdir=str(workdir),
        **{"steps": 5, "checkpoint_interval": 1, "keep_checkpoints": 2},
        **{"sample_interval": 1, "log_interval": 1},
    )
    train(changed)
    assert load_run(workdir, step=4).step == 4
    with pytest.raises(UserError, match="no checkpoint of step 3, only those of 4, 5"):
        load_run(workdir, step=3)
    rows = read_log(workdir / "logs" / "metrics.csv")
    assert [row["step"] for row in rows] == ["2", "3", "4", "5"]


def test_data_may_change_before_the_first_step(tmp_path, monkeypatch):
    from tests.data.test_record import write_picture

    def fit(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sagan_tf.training.train._fit", fit)
    config = dataclasses.replace(
        CONFIG,
        dataset="folder",
        data_dir=str(tmp_path / "data"),
        workdir=str(tmp_path / "run"),
    )
    for number in range(9, 11):
        for index in range(number):
            write_picture(tmp_path / "data" / f"{index}.png", 20 * index)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert record["num_images"] == 10


def test_changed_data_are_noticed_when_a_run_is_resumed(tmp_path):
    from tests.data.test_record import write_picture

    for number in range(9):
        write_picture(tmp_path / "data" / f"{number}.png", 20 * number)
    config = dataclasses.replace(
        CONFIG,
        dataset="folder",
        data_dir=str(tmp_path / "data"),
        workdir=str(tmp_path / "run"),
    )
    train(config)
    longer = dataclasses.replace(config, steps=4)
    write_picture(tmp_path / "data" / "3.png", 7)
    with pytest.raises(UserError, match=r"1 replaced \(3.png\)"):
        train(longer)
    assert load_run(tmp_path / "run").step == 3
    assert train(longer, accept_changed_data=True).step == 4


def test_a_run_among_its_images_is_not_trained_on(tmp_path):
    from tests.data.test_record import write_picture

    for number in range(9):
        write_picture(tmp_path / f"{number}.png", 20 * number)
    config = dataclasses.replace(CONFIG, dataset="folder", data_dir=str(tmp_path))
    run_dir = tmp_path / "runs" / "folder"
    config = dataclasses.replace(config, workdir=str(run_dir), steps=1)
    train(config)
    assert list((run_dir / "samples").glob("*.png"))
    assert train(dataclasses.replace(config, steps=2)).step == 2  # the same data
    assert json.loads((run_dir / "data.json").read_text())["num_images"] == 9
    same = dataclasses.replace(config, workdir=f"{tmp_path}/runs/..")
    with pytest.raises(UserError, match="grids would be among the images: give ano"):
        train(same)
    assert not (tmp_path / "config.json").exists()
    # Grids are no images of a set of TensorFlow Datasets.
    _check_resumable(dataclasses.replace(same, dataset="mnist"))


def test_skipped_files_are_listed_and_few_images_are_said(tmp_path, capsys):
    from tests.data.test_record import write_picture

    for number in range(9):
        write_picture(tmp_path / "data" / f"{number}.png", 20 * number)
    for number in range(12):
        (tmp_path / "data" / f"bad\x1b{number}.png").write_text("no picture")
    train(
        dataclasses.replace(
            CONFIG,
            dataset="folder",
            data_dir=str(tmp_path / "data"),
            workdir=str(tmp_path / "run"),
        )
    )
    lines = (tmp_path / "run" / "logs" / "skipped_files.txt").read_text().splitlines()
    assert len(lines) == 12 and all("bad\\x1b" in line for line in lines)
    out = capsys.readouterr().out
    assert f"Data:       9 images of {tmp_path / 'data'}, 32 px, prepared in " in out
    assert "9 images are few" in out and "--horizontal_flip" in out


def test_a_second_process_is_refused(tmp_path):
    process = start("-c", HOLD, str(tmp_path))
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"written by process {process.pid} on "):
            train(dataclasses.replace(CONFIG, workdir=str(tmp_path)))
    finally:
        process.kill()
        process.communicate()
