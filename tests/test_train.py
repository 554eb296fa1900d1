"""Training in processes of its own: what it writes, and how it resumes."""

import csv
import datetime
import json
import os
import re
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import load_run
from tests.comparison import assert_same_checkpoint, last_checkpoint, read_log
from tests.processes import TINY, call, pixels, start


def assert_same_state(workdir, other):
    assert_same_checkpoint(last_checkpoint(workdir), last_checkpoint(other))


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def train(workdir, *arguments):
    code, stdout, stderr = call("train.py", f"--workdir={workdir}", *TINY, *arguments)
    assert code == 0, stderr
    return stdout


def test_the_run_directory(workdir):
    config = json.loads((workdir / "config.json").read_text())
    assert (config["dataset"], config["width"], config["steps"]) == ("digits", 8, 12)
    grids = sorted(p.name for p in (workdir / "samples").glob("0*.png"))
    assert grids == ["000006.png", "000012.png"]
    assert pixels(workdir / "samples" / "000012.png").shape == (64, 64)
    with open(workdir / "logs" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "6", "9", "12"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    assert "generator/attention_8x8/gamma" in rows[0]
    assert "discriminator/sn_8x8/sigma" in rows[0]
    starts = (workdir / "logs" / "starts.jsonl").read_text().splitlines()
    (start,) = map(json.loads, starts)
    assert (start["step"], start["cores"]) == (0, os.cpu_count())
    assert start["tensorflow"] == tf.__version__
    begun = datetime.datetime.fromisoformat(start["time"])
    age = datetime.datetime.now(datetime.UTC) - begun
    assert datetime.timedelta(0) <= age < datetime.timedelta(hours=1)


MOMENTS = [
    pytest.param("config.json", marks=pytest.mark.exhaustive),  # before the first step
    pytest.param("checkpoints/step-3.index", marks=pytest.mark.exhaustive),
    "checkpoints/step-6.data-00000-of-00001",
    # After the last step, before its checkpoint.
    pytest.param("samples/000012.png", marks=pytest.mark.exhaustive),
    pytest.param("export", marks=pytest.mark.exhaustive),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_resumes_to_the_same_weights(moment, workdir, tmp_path):
    process = start("train.py", f"--workdir={tmp_path}", *TINY)
    wait_for(tmp_path / moment, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    train(tmp_path)
    assert (tmp_path / "export" / "saved_model" / "saved_model.pb").exists()
    assert_same_state(workdir, tmp_path)
    np.testing.assert_array_equal(
        pixels(workdir / "samples" / "000012.png"),
        pixels(tmp_path / "samples" / "000012.png"),
    )


def stop_by_signal(tmp_path, number=signal.SIGINT):
    """Starts a run and stops it; returns the step that it saved."""
    process = start("train.py", f"--workdir={tmp_path}", *TINY, "--steps=100000")
    wait_for(tmp_path / "checkpoints" / "step-3.index", process)
    process.send_signal(number)
    try:
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    saved = re.search(r"Saved step (\d+). Run the same command to resume", stdout)
    # TensorFlow's start-up lines are hidden, and without a terminal the progress bar
    # is a line of text.
    first, *_, last = stderr.splitlines()
    assert first.startswith("Step 0 of 100000") and last == "Stopped"
    assert all(line.startswith("Step ") for line in stderr.splitlines()[:-1])
    step = int(saved[1])
    assert (tmp_path / "checkpoints" / f"step-{step}.index").exists()
    return step


@pytest.mark.parametrize(
    "name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_step(tmp_path, name):
    assert stop_by_signal(tmp_path, getattr(signal, name)) >= 3


@pytest.mark.exhaustive
def test_a_stopped_run_resumes_to_the_same_weights_and_log(tmp_path):
    """Stopped between two rows of the log, whose means go on."""
    steps = stop_by_signal(tmp_path, signal.SIGTERM) + 4
    for folder in (tmp_path, tmp_path / "undisturbed"):
        train(folder, f"--steps={steps}")
    assert_same_state(tmp_path, tmp_path / "undisturbed")
    first, second = (
        read_log(workdir / "logs" / "metrics.csv")
        for workdir in (tmp_path, tmp_path / "undisturbed")
    )
    assert first == second


@pytest.mark.exhaustive
def test_steps_may_be_raised(workdir, tmp_path):
    train(tmp_path, "--steps=5")
    train(tmp_path)
    assert_same_state(workdir, tmp_path)
    assert "is already complete: it is at step 12, and" in train(tmp_path)


@pytest.mark.exhaustive
def test_scores_of_a_killed_run_resume_and_change_no_weights(workdir, tmp_path):
    inputs = keras.Input((32, 32, 1))
    means = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    keras.Model(inputs, means).save(tmp_path / "means.keras")
    run = tmp_path / "run"
    settings = (
        *("--evaluation_interval=3", "--evaluation_images=50"),
        f"--evaluation_extractor={tmp_path}/means.keras",
    )
    process = start("train.py", f"--workdir={run}", *TINY, *settings)
    wait_for(run / "checkpoints" / "step-6.index", process)
    process.kill()
    process.communicate()
    train(run, *settings)
    assert_same_state(workdir, run)
    with open(run / "logs" / "evaluation.csv", newline="") as file:
        scores = {int(row["step"]): float(row["score"]) for row in csv.DictReader(file)}
    assert list(scores) == [0, 3, 6, 9, 12]
    assert load_run(run, best=True).step == min(scores, key=scores.get)


@pytest.mark.slow
def test_xla_is_used_on_request(tmp_path):
    code, _, stderr = call(
        "train.py", f"--workdir={tmp_path}", *TINY, "--steps=2", "--jit_compile"
    )
    assert code == 0, stderr
    assert "doesn't support `jit_compile" not in stderr


def test_another_backend_ends_in_one_line(tmp_path):
    code, _, stderr = call(
        *("train.py", "--dataset=digits", f"--workdir={tmp_path / 'run'}"),
        env={"KERAS_BACKEND": "jax"},
    )
    assert code == 1
    assert stderr == (
        "Error: Training, sampling and the commands need the TensorFlow backend of "
        "Keras. Received: KERAS_BACKEND=jax. Set KERAS_BACKEND=tensorflow\n"
    )
    assert not (tmp_path / "run").exists()


def test_help_imports_neither_tensorflow_nor_keras():
    script = """
import sys
from sagan_tf.commands.main import COMMANDS, run_command
for name in COMMANDS:
    assert run_command([name, "--help"]) == 0
for name in ("tensorflow", "keras", "tensorflow_datasets"):
    assert name not in sys.modules, name
"""
    code, _, stderr = call("-c", script)
    assert code == 0, stderr


def test_a_saved_model_gives_the_runs_images_without_this_package(workdir, tmp_path):
    expected = load_run(workdir).generate(5, seed=3)
    np.save(tmp_path / "expected.npy", expected)
    script = f"""
import sys
# TensorFlow imports Keras if it can: here it cannot.
sys.modules["keras"] = sys.modules["sagan_tf"] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load({str(workdir / "export" / "saved_model")!r})
sample = model.signatures["sample"]
def images(n):
    return sample(num_images=tf.constant(n), seed=tf.constant(3),
                  truncation=tf.constant(1.0))["images"].numpy()
expected = np.load("expected.npy").astype(int)
np.testing.assert_array_equal(images(5), expected)
# An image does not depend on the rest of its batch.
np.testing.assert_array_equal(images(2), expected[:2])
latents = tf.random.normal([3, 128])
together = model.signatures["serving_default"](latents=latents)["images"]
alone = model.signatures["serving_default"](latents=latents[1:2])["images"]
np.testing.assert_allclose(together[1:2], alone, atol=1e-5)
maps = model.signatures["attention"](latents=latents)
np.testing.assert_allclose(maps["images"], together, atol=1e-5)
np.testing.assert_allclose(maps["attention_8x8"].numpy().sum(-1), 1, atol=1e-5)
"""
    code, _, stderr = call("-c", script, cwd=tmp_path)
    assert code == 0, stderr
