"""train.py as a user calls it: what it writes, and how it goes on."""

import csv
import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import load_run
from sagan_tf.training.checkpoints import Checkpoints
from tests.processes import TINY, call, command, pixels, start


def variables(workdir):
    reader = tf.train.load_checkpoint(str(Path(workdir) / "checkpoints"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "save_counter" not in name and "OBJECT_GRAPH" not in name
    }


def assert_same_state(workdir, other):
    expected, actual = variables(workdir), variables(other)
    assert expected.keys() == actual.keys()
    assert sum("generator_optimizer" in name for name in expected) > 20
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_writes_what_the_design_says(workdir):
    config = json.loads((workdir / "config.json").read_text())
    assert (config["dataset"], config["width"], config["steps"]) == ("digits", 8, 12)
    assert sorted(p.name for p in (workdir / "samples").iterdir()) == [
        "000006.png",
        "000012.png",
    ]
    assert pixels(workdir / "samples" / "000012.png").shape == (64, 64)
    with open(workdir / "logs" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "6", "9", "12"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    assert "generator/attention_8x8/gamma" in rows[0]
    assert "discriminator/sn_8x8/sigma" in rows[0]


@pytest.mark.parametrize(
    "moment",
    [
        "config.json",  # before the first step
        "checkpoints/step-3.index",
        "checkpoints/step-6.data-00000-of-00001",
        "samples/000012.png",  # the last step, before its checkpoint
        "export/saved_model.partial",
    ],
)
def test_killed_and_started_again_it_ends_with_the_same_weights(
    moment, workdir, tmp_path
):
    command = ("train.py", f"--workdir={tmp_path}", *TINY)
    process = start(*command)
    deadline = time.monotonic() + 120
    while not (tmp_path / moment).exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    code, stdout, stderr = call(*command)
    assert code == 0, stderr
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "export" / "saved_model" / "saved_model.pb").exists()
    assert_same_state(workdir, tmp_path)
    np.testing.assert_array_equal(
        pixels(workdir / "samples" / "000012.png"),
        pixels(tmp_path / "samples" / "000012.png"),
    )


def test_stopped_by_ctrl_c_it_ends_with_the_same_weights(tmp_path):
    command = ("train.py", f"--workdir={tmp_path}", *TINY)
    process = start(*command, "--steps=100000")
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoints" / "step-3.index").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    try:
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    saved = re.search(r"Step (\d+) is saved: the same command goes on", stdout)
    assert stderr.endswith("\nStopped\n")
    assert "Traceback" not in stderr and "Error" not in stderr
    steps = int(saved[1]) + 2
    for folder in (tmp_path, tmp_path / "undisturbed"):
        code, _, stderr = call(
            "train.py", f"--workdir={folder}", *TINY, f"--steps={steps}"
        )
        assert code == 0, stderr
    assert_same_state(tmp_path, tmp_path / "undisturbed")


def test_steps_may_be_raised(workdir, tmp_path):
    half = [a for a in TINY if not a.startswith("--steps")]
    code, _, stderr = call("train.py", f"--workdir={tmp_path}", *half, "--steps=5")
    assert code == 0, stderr
    code, _, stderr = call("train.py", f"--workdir={tmp_path}", *half, "--steps=12")
    assert code == 0, stderr
    assert_same_state(workdir, tmp_path)


def test_other_settings_are_refused(workdir):
    code, _, stderr = call(
        "train.py", f"--workdir={workdir}", *TINY, "--batch_size=16", "--loss=wgan"
    )
    assert code == 1
    assert "batch_size: 8 -> 16" in stderr
    assert "loss: hinge -> wgan" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=mnits"], "Did you mean mnist?"),
        (["--dataset=folder"], "--data_dir=DIR"),
        (["--dataset=folder", "--data_dir=nowhere"], "not a folder"),
        (["--dataset=mnist", "--data_dir=/nowhere"], "/nowhere is not a folder. Make"),
        (["--image_size=48"], "32, 64, 128, 256"),
        (["--loss=hinges"], "hinge, non_saturating"),
        (["--generator_attention_resolutions=5"], "attention can be at 4, 8, 16"),
        (["--generator_attention_resolutions=a"], "takes numbers"),
        (["--batch_size=0"], "at least 1"),
        (["--batch_size=5000"], "fewer than"),
        (["--config=nowhere.py"], "no config file"),
        (["--config=mnist"], "a preset's name goes with --dataset"),
        (["--batch_size=abc"], "Error: --batch_size takes an integer. Received: abc"),
        (["--jit_compile=3"], "Error: --jit_compile=3: "),
        (["--nojit_compile=3"], "Error: "),
        (["--widht=3"], "Did you mean: width"),
        (["digits"], "Unexpected argument"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments, message, tmp_path):
    workdir = tmp_path / "run"
    code, _, stderr = call("train.py", f"--workdir={workdir}", *arguments)
    assert code != 0
    assert message in stderr
    assert "Traceback" not in stderr
    assert not workdir.exists()


def test_the_figures_of_a_killed_run_go_on_and_the_best_can_be_taken(workdir, tmp_path):
    import keras

    inputs = keras.Input((32, 32, 1))
    means = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    keras.Model(inputs, means).save(tmp_path / "means.keras")
    run = tmp_path / "run"
    settings = (
        *("train.py", f"--workdir={run}", *TINY, "--evaluation_interval=3"),
        *("--evaluation_images=50", f"--evaluation_extractor={tmp_path}/means.keras"),
    )
    process = start(*settings)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "step-6.index").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.communicate()
    code, _, stderr = call(*settings)
    assert code == 0, stderr
    # Neither evaluation nor the kill has touched the training.
    assert_same_state(workdir, run)
    with open(run / "logs" / "evaluation.csv", newline="") as file:
        figures = {
            int(row["step"]): float(row["figure"]) for row in csv.DictReader(file)
        }
    assert list(figures) == [0, 3, 6, 9, 12]
    assert load_run(run, best=True).step == min(figures, key=figures.get)
    # Another step's, so that it is not the last one.
    model = load_run(workdir).model
    model.step.assign(5)
    model.ema_generator.set_weights(model.generator.get_weights())
    Checkpoints(run, model).save_best()
    code, _, stderr = command(
        "sample", run, "--best", "--num_images=3", f"--output={tmp_path / 'best.npz'}"
    )
    assert code == 0, stderr
    images = np.load(tmp_path / "best.npz")["images"]
    np.testing.assert_array_equal(images, model.generate(3))
    assert (images != load_run(run).generate(3)).any()


def test_xla_is_used_where_it_is_asked_for(tmp_path):
    code, _, stderr = call(
        "train.py", f"--workdir={tmp_path}", *TINY, "--steps=2", "--jit_compile"
    )
    assert code == 0, stderr
    assert "doesn't support `jit_compile" not in stderr
