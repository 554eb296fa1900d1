"""The command `doctor`, on whole and on damaged installations, runs and data."""

import importlib.metadata
import importlib.util
import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.commands.main import run_command
from sagan_tf.config import Config, save_config
from sagan_tf.data import load_data
from sagan_tf.data.record import make_record
from sagan_tf.doctor import data as doctor_data
from sagan_tf.doctor import environment, machine, training
from sagan_tf.doctor.findings import Finding
from sagan_tf.evaluation import extractors
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints, find_checkpoints
from sagan_tf.training.lock import lock_run
from tests.processes import call
from tests.training.settings import SMALL

DATA = "data-00000-of-00001"


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Without the network, with an empty cache."""
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(extractors, "is_reachable", lambda address, seconds: False)


@pytest.fixture
def untrained(monkeypatch):
    """Without the training, which takes longer than all other checks together."""
    monkeypatch.setattr(training, "list_checks", list)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run directory with checkpoints of two steps and a best one."""
    workdir = tmp_path_factory.mktemp("saved")
    config = Config(**SMALL, workdir=str(workdir))
    save_config(config)
    model = build_sagan(config)
    checkpoints = Checkpoints(workdir, model)
    for step in (3, 6):
        model.step.assign(step)
        checkpoints.save()
    checkpoints.save_best()
    (workdir / "logs").mkdir()
    (workdir / "logs" / "metrics.csv").write_text("step,generator_loss\n3,0.5\n")
    return workdir


@pytest.fixture
def run(saved, tmp_path):
    """A copy of that run, to be damaged."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    for path in sorted(saved.rglob("*")):
        if path.is_dir():
            (workdir / path.relative_to(saved)).mkdir()
        else:
            (workdir / path.relative_to(saved)).write_bytes(path.read_bytes())
    return workdir


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes with 70 images."""
    random = np.random.default_rng(0)
    for number in range(70):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.fixture
def report(capsys):
    """Runs the command; returns its exit code, its lines by name, and the last line.

    Each line has the remedy that follows it.
    """

    def report(*flags):
        capsys.readouterr()
        code = run_command(["doctor", *flags])
        captured = capsys.readouterr()
        *lines, last = (captured.out + captured.err).splitlines()
        entries, own = {}, []
        for line in lines:
            if line.startswith("         ->  "):
                own[-1] += f"\n{line.strip()}"
                continue
            found = re.fullmatch(r"(ok|warning|failure|skipped) +(.{15})(.*)", line)
            assert found, line
            own = entries.setdefault(found[2].strip(), [])
            own.append(f"{found[1]} {found[3]}")
        return code, entries, last

    return report


def snapshot(folder):
    return {
        # Some versions of filelock change the date of a lock that they try.
        path: (
            path.name == ".lock" or path.stat().st_mtime_ns,
            path.is_file() and path.read_bytes(),
        )
        for path in [folder, *folder.rglob("*")]
    }


def flip_bit_of(checkpoint, name):
    """Flips a bit of a tensor's bytes in a checkpoint's data file."""
    value = tf.train.load_checkpoint(str(checkpoint)).get_tensor(name)
    path = checkpoint.with_name(f"{checkpoint.name}.{DATA}")
    content = bytearray(path.read_bytes())
    where = content.find(value.tobytes())
    assert where >= 0
    content[where + value.nbytes // 2] ^= 1
    path.write_bytes(content)


def largest_tensor(checkpoint):
    shapes = tf.train.load_checkpoint(str(checkpoint)).get_variable_to_shape_map()
    return max(sorted(shapes), key=lambda name: np.prod(shapes[name]))


def test_a_whole_run_and_installation_pass(report, run, untrained):
    with lock_run(run):  # leaves a lock file that nobody holds
        pass
    before = snapshot(run)
    code, lines, last = report(f"--workdir={run}", "--dataset=digits")
    assert snapshot(run) == before
    assert code == 0
    assert not any("failure" in line for own in lines.values() for line in own)
    assert re.fullmatch(r"0 failures, [1-4] warnings?", last)
    assert lines["tensorflow"] == [f"ok {tf.__version__}"]
    assert lines["numpy"] == [f"ok {np.__version__}"]
    assert lines["packages"] == ["ok 9 others as required"]
    assert lines["lock"] == ["ok free"]
    assert lines["checkpoints"] == ["ok verified: step-3, step-6, best step-6"]
    assert lines["logs"] == ["ok 1 readable"]
    assert lines["leftovers"] == ["ok none"]
    (found,) = lines["data"]
    assert found.startswith("ok 1,797 images of digits, 10 classes")
    for name in ("bfloat16", "XLA"):
        error = float(
            re.search(r"differs from NumPy's float32 by (\S+);", lines[name][0])[1]
        )
        assert 1e-8 < error < 0.01


def test_training_is_checked_with_its_export(report, monkeypatch):
    monkeypatch.setattr(environment, "list_checks", list)
    monkeypatch.setattr(machine, "list_checks", lambda workdir: [])
    code, lines, last = report()
    assert (code, last, list(lines)) == (0, "0 failures, 0 warnings", ["training"])
    assert lines["training"][0].startswith("ok 3 steps, export and reload agree")


@pytest.mark.slow
def test_an_export_of_other_images_fails(report, monkeypatch):
    monkeypatch.setattr(environment, "list_checks", list)
    monkeypatch.setattr(machine, "list_checks", lambda workdir: [])
    monkeypatch.setattr(
        "sagan_tf.run.Run.generate",
        lambda run, num_images, seed: np.zeros((num_images, 32, 32, 1), np.uint8),
    )
    code, lines, _ = report()
    assert code == 1
    assert "failure the exported generator's images differ" in lines["training"][0]


def test_changed_data_of_a_run_fail(report, run, photos, monkeypatch, untrained):
    config = Config(**SMALL, dataset="folder", data_dir=str(photos), workdir=str(run))
    save_config(config)
    record = json.dumps(make_record(load_data(config)))
    (run / "data.json").write_text(record)
    _, lines, _ = report(f"--workdir={run}")
    assert not any("trained on" in line for line in lines["data"])
    (photos / "a" / "0.png").write_bytes((photos / "b" / "1.png").read_bytes())
    code, lines, _ = report(f"--workdir={run}")
    assert code == 1
    said = (
        "failure no longer those that the run was trained on: of 70 files, 1 replaced"
    )
    assert lines["data"][-1].startswith(f"{said} (a/0.png)\n->  Restore them")
    assert (run / "data.json").read_text() == record
    monkeypatch.setattr(doctor_data, "_SAMPLE", 69)
    code, lines, _ = report(f"--workdir={run}")
    assert code == 0 and "a sample of 69 was read" in lines["data"][0]


def test_a_folder_of_runs_is_no_run(report, run, untrained):
    code, lines, _ = report(f"--workdir={run.parent}")
    assert code == 1 and "checkpoints" not in lines
    (line,) = lines["config.json"]
    assert f"It holds runs: {run}" in line and "Restore" not in line
    assert "->  Give the directory of a run" in line


def test_a_run_without_its_data_is_no_failure(report, run, photos, untrained):
    missing = str(photos / "missing")
    save_config(Config(**SMALL, dataset="folder", data_dir=missing, workdir=str(run)))
    code, lines, _ = report(f"--workdir={run}")
    assert code == 0
    assert lines["data"][0].startswith(f"skipped --data_dir={missing} does not exist")


def test_a_lock_that_cannot_be_read_warns(report, run, monkeypatch, untrained):
    def refuse(run_dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sagan_tf.training.lock.is_locked", refuse)
    code, lines, _ = report(f"--workdir={run}")
    assert code == 0
    assert "warning unknown: PermissionError: [Errno 13]" in lines["lock"][0]
    assert lines["leftovers"] == ["warning unknown, as the lock is"]


def test_damaged_checkpoints_are_named(report, run, untrained):
    first, last, best = find_checkpoints(run)
    name = largest_tensor(first)
    flip_bit_of(first, name)
    (best.with_name(f"{best.name}.index")).write_bytes(b"x" * 40)
    code, lines, summary = report(f"--workdir={run}")
    assert code == 1 and summary.startswith("Error: 2 failures, ")
    name = name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
    assert lines["checkpoints"] == [
        f"failure {first} is damaged at {name}\n"
        f"->  Delete it; the others are whole: rm {first}.*",
        f"failure {best}.index is damaged\n"
        f"->  Delete it; the others are whole: rm {best}.*",
        "ok verified: step-6",
    ]
    last.with_name(f"{last.name}.{DATA}").unlink()
    _, lines, _ = report(f"--workdir={run}")
    assert f"failure {last} is damaged at " in lines["checkpoints"][1]
    assert "Restore the folder from a copy" in lines["checkpoints"][1]


def test_damaged_settings_and_logs_and_leftovers_are_named(report, run, untrained):
    (run / "config.json").write_text(json.dumps({"width": "x"}))
    metrics = run / "logs" / "metrics.csv"
    metrics.write_text("step,generator_loss\n3,0.5\n6\n")
    (run / "data.json").write_text("{")
    (run / "checkpoints" / f"step-9.{DATA}").touch()
    (run / "checkpoints" / ".partial-77").mkdir()
    code, lines, _ = report(f"--workdir={run}")
    assert code == 1
    assert "config.json: --width takes an integer" in lines["config.json"][0]
    csv, record = lines["logs"]
    assert csv.startswith(f"failure {metrics} cannot be read") and "row 3" in csv
    assert csv.endswith(f"mv {metrics} {metrics}.damaged")
    assert record.startswith(f"failure {run / 'data.json'} cannot be read")
    (leftovers,) = lines["leftovers"]
    names = f"checkpoints/.partial-77; checkpoints/step-9.{DATA}"
    assert leftovers.startswith(f"warning 2 of killed processes: {names}\n")
    assert len(lines["checkpoints"]) == 1  # each check is on its own


def test_a_held_lock_is_named(report, run, untrained):
    with lock_run(run):
        before = snapshot(run)
        code, lines, _ = report(f"--workdir={run}")
        assert snapshot(run) == before
    assert code == 0
    (lock,) = lines["lock"]
    said = f"warning {run} is being written by process {os.getpid()} on "
    assert lock.startswith(said)
    assert lines["leftovers"] == ["skipped the run is being written"]


def test_a_missing_run_fails(report, tmp_path, untrained):
    missing = tmp_path / "missing"
    code, lines, _ = report(f"--workdir={missing}")
    assert code == 1 and not missing.exists()
    assert lines["config.json"][0].startswith("failure There is no run in")
    assert not {"lock", "checkpoints", "logs", "leftovers"} & set(lines)


@pytest.mark.parametrize(
    ("flags", "found", "remedy"),
    [
        (
            ["--data_dir={missing}"],
            "{missing} does not exist",
            "python -m sagan_tf doctor --dataset=folder --data_dir=DIR",
        ),
        (
            ["--dataset=mnist", "--data_dir={empty}"],
            "mnist is not in {empty}",
            "--data_dir=DIR. Training downloads what is missing",
        ),
        (["--dataset=mnits"], "There is no dataset 'mnits'", "what is missing"),
    ],
)
def test_missing_data_fail_with_the_remedy(
    flags, found, remedy, report, tmp_path, untrained
):
    paths = {"missing": tmp_path / "missing", "empty": tmp_path / "empty"}
    paths["empty"].mkdir()
    code, lines, _ = report(*(flag.format(**paths) for flag in flags))
    assert code == 1
    (data,) = lines["data"]
    data, advice = data.split("\n")
    assert data.startswith("failure ") and found.format(**paths) in data
    assert advice.endswith(remedy) and "downloaded" not in data
    assert not list(paths["empty"].iterdir())


def test_unreadable_files_warn_and_are_named(report, photos, untrained, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    (photos / "a" / "cut\x1b.png").write_bytes(b"x")
    for number in range(11):
        (photos / "b" / f"x{number:02}.jpg").write_bytes(b"")
    code, lines, _ = report(f"--data_dir={photos}")
    assert code == 0
    whole, bad, few = lines["data"]
    assert whole == f"ok 70 images of {photos}, 2 classes"
    said = r"warning 12 files cannot be read: a/cut\x1b.png (not an image); b/x00.jpg"
    assert bad.startswith(said)
    assert "x08" in bad and "x09" not in bad and "; and 2 more\n" in bad
    assert few.startswith("warning 70 images, which the discriminator may memorize\n")
    flags = "--augmentation=color,translation,cutout --horizontal_flip"
    assert few.endswith(f"--dataset=folder --data_dir={photos} {flags}")
    # The preset `folder` is for a GPU.
    assert "train --config=faces64 --dataset=folder" in few


def test_a_sample_of_many_images_is_read(report, photos, monkeypatch, untrained):
    monkeypatch.setattr(doctor_data, "_SAMPLE", 20)
    (photos / "a" / "0.png").write_bytes(b"x")
    _, lines, _ = report(f"--data_dir={photos}")
    said = f"ok 70 images of {photos}, 2 classes; a sample of 20 was read"
    assert lines["data"][0] == said


def test_fewer_images_than_the_batch_size_or_without_class(report, photos, untrained):
    for number in range(10):
        (photos / "b" / f"{2 * number + 1}.png").unlink()
    _, lines, _ = report(f"--data_dir={photos}")
    fewer = lines["data"][1]
    assert fewer.startswith("failure 60 images, fewer than --batch_size=64\n->")
    assert fewer.endswith(f"--data_dir={photos} --batch_size=60")
    assert "--batch_size=60 --augmentation=" in lines["data"][2]
    (photos / "a" / "0.png").rename(photos / "0.png")
    code, lines, _ = report("--dataset=folder_conditional", f"--data_dir={photos}")
    assert code == 1
    assert "failure 1 of 60 images have no class" in lines["data"][-1]


def test_data_of_a_run_are_checked_with_its_settings(report, run, photos, untrained):
    config = Config(
        **{**SMALL, "discriminator_attention_resolutions": (8,)},
        dataset="folder",
        batch_size=80,
        architecture="resnet",
        conditional=True,
        classes=("a", "c"),
        workdir=str(run),
    )
    save_config(config)
    flags = (f"--workdir={run}", f"--data_dir={photos}")
    _, lines, _ = report(*flags)
    assert "sub-folders that are not classes of the run: b" in lines["data"][0]
    (photos / "b").rename(photos / "c")
    _, lines, _ = report(*flags)
    assert "70 images, fewer than --batch_size=80" in lines["data"][1]


def test_a_check_that_raises_is_one_line(report, run, monkeypatch, untrained):
    def fail():
        print("printed")
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(machine, "check_xla", fail)
    monkeypatch.setattr("sagan_tf.training.lock.is_locked", lambda run_dir: 1 / 0)
    code, lines, last = report(f"--workdir={run}")
    assert code == 1
    said = "failure RuntimeError: first line\n->  Train with --nojit_compile"
    assert lines["XLA"] == [said]
    assert lines["lock"][0].startswith("failure ZeroDivisionError: division by zero\n")
    assert lines["checkpoints"][0].startswith("ok ")
    assert last.startswith("Error: 3 failures, ")  # leftovers need the lock too


def test_other_versions_and_missing_packages_fail(report, monkeypatch, untrained):
    metadata = importlib.metadata
    version = metadata.version

    def other_version(name):
        if name == "psutil":
            raise metadata.PackageNotFoundError(name)
        return "99.0" if name == "pillow" else version(name)

    monkeypatch.setattr(metadata, "version", other_version)
    code, lines, last = report()
    assert code == 1 and last.startswith("Error: 2 failures")
    assert lines["psutil"] == [
        "failure not installed\n->  python -m pip install 'psutil<8,>=6'"
    ]
    (pillow,) = lines["pillow"]
    assert pillow.startswith("failure 99.0, but ") and "<14" in pillow
    assert lines["packages"] == ["ok 7 others as required"]


def test_an_installed_package_knows_its_requirements(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "_project", lambda: tmp_path / "pyproject.toml")
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: ["numpy<3,>=2.0", 'no-such-package; extra == "torch"'],
    )
    (finding,) = (f for f in environment.check_packages() if f.name == "numpy")
    assert finding == Finding("numpy", "ok", np.__version__)


def test_without_tensorflow_other_checks_run(report, run, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorflow" else find_spec(name, *rest),
    )
    code, lines, last = report(f"--workdir={run}")
    assert code == 1 and last.startswith("Error: 1 failure, ")
    said = "failure Training, sampling and the commands need TensorFlow"
    assert lines["TensorFlow"][0].startswith(said)
    assert "->  python -m pip install 'tensorflow" in lines["TensorFlow"][0]
    for name in ("XLA", "checkpoints", "Inception", "training"):
        assert lines[name] == ["skipped needs TensorFlow and Keras"]
    for name in ("memory", "disk", "config.json", "lock"):
        assert lines[name][0].startswith(("ok", "warning"))


def test_another_backend_is_a_line():
    code, stdout, stderr = call(
        *("-m", "sagan_tf", "doctor"), env={"KERAS_BACKEND": "jax"}
    )
    assert code == 1
    assert "KERAS_BACKEND=jax" in stdout
    assert "\n         ->  export KERAS_BACKEND=tensorflow\n" in stdout
    assert re.fullmatch(r"Error: 1 failure, \d warnings?\. .*\n", stderr)


def test_little_memory_and_disk_warn(report, monkeypatch, tmp_path, untrained):
    monkeypatch.setattr(machine, "_LEAST_GIB", 10**9)
    code, lines, _ = report(f"--workdir={tmp_path / 'a' / 'b'}")
    assert lines["memory"][0].startswith("warning ")
    (disk,) = lines["disk"]
    assert disk.startswith("warning ") and f" at {tmp_path}\n" in disk
    assert disk.endswith("--workdir=DIR")


def test_inception_is_found_where_it_can_be_reached(report, monkeypatch, untrained):
    _, lines, _ = report()
    assert "warning evaluate uses classifier, because" in lines["Inception"][0]
    asked = []
    monkeypatch.setattr(
        extractors, "is_reachable", lambda *asking: not asked.append(asking)
    )
    _, lines, _ = report()
    assert lines["Inception"][0].startswith("ok evaluate uses inception, ")
    assert asked[0][1] <= 10
