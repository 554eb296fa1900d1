"""The command as a user types it, in processes of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import load_run
from sagan_tf.data import load_images
from sagan_tf.training.checkpoints import Checkpoints

REPOSITORY = Path(__file__).parents[1]
TINY = (
    *("--width=8", "--batch_size=8", "--steps=12", "--num_samples=4"),
    *("--log_interval=3", "--sample_interval=6", "--checkpoint_interval=3"),
)


def start(*arguments, cwd=REPOSITORY):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def call(*arguments, cwd=REPOSITORY):
    process = start(*arguments, cwd=cwd)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of twelve steps that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("run")
    code, stdout, stderr = call("train.py", f"--workdir={workdir}", *TINY)
    assert code == 0, stderr
    assert "SavedModel:" in stdout
    return workdir


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


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


def test_stopped_by_ctrl_c_it_ends_with_the_same_weights(workdir, tmp_path):
    command = ("train.py", f"--workdir={tmp_path}", *TINY)
    process = start(*command)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoints" / "step-3.index").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert "is saved: the same command goes on from there" in stdout
    assert stderr.endswith("\nStopped\n")
    assert "Traceback" not in stderr and "Error" not in stderr
    code, stdout, stderr = call(*command)
    assert code == 0, stderr
    assert "Going on from step" in stdout
    assert_same_state(workdir, tmp_path)


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


def test_saved_model_gives_the_runs_images_without_this_package(workdir, tmp_path):
    expected = load_run(workdir).generate(5, seed=3)
    np.save(tmp_path / "expected.npy", expected)
    script = f"""
import sys
# TensorFlow imports Keras where it can: here, it cannot.
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
# An image does not depend on its batch-mates.
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=mnits"], "Did you mean mnist?"),
        (["--dataset=folder"], "--data_dir=DIR"),
        (["--dataset=folder", "--data_dir=nowhere"], "not a folder"),
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


def test_sample_writes_grids_arrays_and_folders(workdir, tmp_path):
    def sample(*arguments):
        code, stdout, stderr = call(
            "-m", "sagan_tf", "sample", f"--workdir={workdir}", *arguments
        )
        assert code == 0, stderr
        return stdout

    sample(f"--output={tmp_path / 'a.npz'}", "--num_images=3")
    sample(f"--output={tmp_path / 'b.npz'}", "--num_images=70")
    a, b = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    assert a["images"].shape == (3, 32, 32, 1) and a["images"].dtype == np.uint8
    assert b["latents"].shape == (70, 128) and b["latents"].dtype == np.float32
    np.testing.assert_array_equal(a["latents"], b["latents"][:3])
    np.testing.assert_array_equal(a["images"], b["images"][:3])
    sample(f"--output={tmp_path / 'grid.png'}", "--num_images=5")
    assert pixels(tmp_path / "grid.png").shape == (64, 96)
    sample(f"--output={tmp_path / 'folder'}", "--num_images=2")
    assert len(list((tmp_path / "folder").iterdir())) == 2


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A run with classes, stopped after four steps and gone on with to six."""
    workdir = tmp_path_factory.mktemp("conditional")
    settings = (
        *("--config=configs/mnist_conditional.py", "--dataset=digits", "--width=4"),
        *("--batch_size=8", "--num_samples=20", f"--workdir={workdir}"),
    )
    for steps in (4, 6):
        code, stdout, stderr = call("train.py", *settings, f"--steps={steps}")
        assert code == 0, stderr
    assert "Going on from step 4" in stdout
    return workdir


def test_a_run_with_classes_is_sampled_by_number_and_by_name(conditional, tmp_path):
    def sample(*arguments):
        return call("-m", "sagan_tf", "sample", f"--workdir={conditional}", *arguments)

    code, _, stderr = sample(f"--output={tmp_path / 'a.npz'}", "--labels=3,7,3")
    assert code == 0, stderr
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["labels"].tolist() == [3, 7, 3] and len(arrays["images"]) == 3
    trained = load_run(conditional)
    assert trained.config.classes == tuple("0123456789")
    np.testing.assert_array_equal(
        arrays["images"], trained.generate(3, labels=[3, 7, 3])
    )
    code, _, stderr = sample(
        f"--output={tmp_path / 'grid.png'}",
        "--num_images=20",
        "--standing_statistics=1",
    )
    assert code == 0, stderr
    # A row a class: as many as fit, three columns of twenty.
    height, width = pixels(tmp_path / "grid.png").shape
    assert (height // 32, width // 32) == (6, 3)
    for labels, message in (
        ("3,12", "no class '12'"),
        ("cat", "no class 'cat'. It has 0 to 9\n"),
    ):
        code, _, stderr = sample(f"--labels={labels}")
        assert code == 1 and message in stderr and "Traceback" not in stderr


def test_labels_without_classes_are_refused(workdir):
    code, _, stderr = call(
        "-m", "sagan_tf", "sample", f"--workdir={workdir}", "--labels=3"
    )
    assert code == 1
    assert "has no classes: leave out --labels" in stderr and "Traceback" not in stderr


def test_a_saved_model_with_classes(conditional):
    trained = load_run(conditional)
    model = tf.saved_model.load(str(conditional / "export" / "saved_model"))
    sample = model.signatures["sample"]
    settings = {
        "num_images": tf.constant(5),
        "seed": tf.constant(1),
        "truncation": tf.constant(1.0),
    }
    for label, labels in ((4, [4]), (-1, None)):
        images = sample(**settings, label=tf.constant(label))["images"]
        np.testing.assert_array_equal(images, trained.generate(5, 1, labels=labels))
    latents, labels = tf.ones([2, 128]), tf.constant([1, 2])
    inputs = {"latents": latents, "labels": labels}
    images = model.signatures["serving_default"](**inputs)["images"]
    np.testing.assert_allclose(images, trained.generator(latents, labels), atol=1e-5)
    maps = model.signatures["attention"](**inputs)
    assert maps["attention_8x8"].shape == (2, 64, 16)
    for wrong in (-1, 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 9"):
            model.signatures["serving_default"](
                latents=latents, labels=tf.constant([0, wrong])
            )
    for wrong in (-2, 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match="from -1 to 9"):
            sample(**settings, label=tf.constant(wrong))


def command(name, workdir, *arguments):
    return call("-m", "sagan_tf", name, f"--workdir={workdir}", *arguments)


def test_attend_shows_where_both_networks_look(conditional, tmp_path):
    code, stdout, stderr = command(
        "attend",
        conditional,
        *("--num_images=3", "--num_real=2", "--labels=1,7", "--points=4,4;20,9"),
        f"--output={tmp_path}",
    )
    assert code == 0, stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attention.html",
        "discriminator_8x8.png",
        "discriminator_8x8_real.png",
        "generator_8x8.png",
    ]
    assert "Generator 8×8" in stdout and "%" in stdout
    # A title, three images, and beside each of them two maps.
    assert pixels(tmp_path / "generator_8x8.png").shape == (22 + 3 * 132 - 4, 392, 3)
    page = (tmp_path / "attention.html").read_text()
    captions = ["Generated 1, 1", "Generated 2, 7", "Generated 3, 1", "Real 1, "]
    assert all(f'"caption":"{caption}' in page for caption in captions)
    for points, message in (
        ("4,4;20", "takes 'x,y;x,y'"),
        ("4,32", "The point 4,32 is not in the image, where x and y are from 0 to 31"),
    ):
        code, _, stderr = command("attend", conditional, f"--points={points}")
        assert code == 1 and message in stderr and "Traceback" not in stderr


def test_interpolates_between_latents_and_between_classes(conditional, tmp_path):
    code, _, stderr = command(
        "interpolate",
        conditional,
        *("--labels=3,7,0", "--steps=3", "--num_images=2"),
        f"--output={tmp_path / 'classes.png'}",
    )
    assert code == 0, stderr
    grid = pixels(tmp_path / "classes.png")
    assert grid.shape == (2 * 32, 5 * 32)
    run = load_run(conditional)
    for column, label in ((0, 3), (2, 7), (4, 0)):
        images = run.generate(2, labels=[label] * 2)[..., 0]
        tiles = grid[:, column * 32 : (column + 1) * 32].reshape(2, 32, 32)
        assert abs(tiles.astype(int) - images).max() <= 1
    code, _, stderr = command(
        "interpolate", conditional, "--steps=3", f"--output={tmp_path / 'film.gif'}"
    )
    assert code == 0, stderr
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4 * 2


def test_a_film_is_in_the_order_of_the_steps(tmp_path):
    (tmp_path / "samples").mkdir()
    for grey, step in ((10, "000500"), (60, "999500"), (120, "1000000")):
        picture = Image.new("L", (64, 64), grey)
        picture.save(tmp_path / "samples" / f"{step}.png")
    code, stdout, stderr = command(
        "film", tmp_path, "--fps=2", f"--output={tmp_path / 'film.gif'}"
    )
    assert code == 0, stderr
    assert "3 grids, steps 500 to 1000000" in stdout
    with Image.open(tmp_path / "film.gif") as film:
        assert film.size == (256, 256)
        greys = []
        for number in range(film.n_frames):
            film.seek(number)
            greys.append(film.convert("L").getpixel((0, 0)))
        # Equal frames are one, that stays for longer.
        assert greys == [10, 60, 120] and film.info["duration"] == 1500


def test_sweep_and_neighbors(workdir, tmp_path):
    code, stdout, stderr = command(
        "sample",
        workdir,
        *("--truncation=0,1", "--num_images=3", f"--output={tmp_path / 'sweep.png'}"),
    )
    assert code == 0, stderr
    assert "from the top row: 0, 1" in stdout
    sweep = pixels(tmp_path / "sweep.png").reshape(2, 32, 3, 32)
    np.testing.assert_array_equal(sweep[0, :, 0], sweep[0, :, 1])  # no latent at all
    images = load_run(workdir).generate(3)[..., 0]
    np.testing.assert_array_equal(sweep[1].swapaxes(0, 1), images)
    code, stdout, stderr = command(
        "neighbors", workdir, "--num_images=2", f"--output={tmp_path / 'near.png'}"
    )
    assert code == 0, stderr
    grid = pixels(tmp_path / "near.png").reshape(2, 32, 9, 32).swapaxes(1, 2)
    samples = load_run(workdir).generate(2)[..., 0]
    real, _ = load_images(load_run(workdir).config)
    for row, sample in zip(grid, samples, strict=True):
        np.testing.assert_array_equal(row[0], sample)
        difference = real[..., 0].astype(float) - sample
        nearest = np.argsort((difference**2).sum(axis=(1, 2)))[:7]
        np.testing.assert_array_equal(row[2:], real[nearest, ..., 0])
    assert "of another training image" in stdout


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
    code, stdout, stderr = call(*settings)
    assert code == 0, stderr
    assert "Going on from step" in stdout
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


def test_an_output_that_cannot_be_is_a_clear_line(workdir, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "000000.png").touch()
    for arguments, message in (
        (["sample", workdir, f"--output={tmp_path / 'file'}"], "File exists"),
        (["sample", workdir, f"--output={tmp_path}/file/x.png"], "/file: File exists"),
        (["sample", workdir, f"--output={tmp_path / 'folder'}"], "is not empty"),
        (["sample", workdir, "--truncation=nan"], "--truncation takes numbers"),
    ):
        code, _, stderr = command(*arguments)
        assert code == 1 and message in stderr and "Traceback" not in stderr


def test_evaluate_keeps_figures_with_their_protocol(conditional, tmp_path, monkeypatch):
    import keras

    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    inputs = keras.Input((32, 32, 1))
    features = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    keras.Model(inputs, features).save(tmp_path / "means.keras")
    run = load_run(conditional)
    np.savez(tmp_path / "samples.npz", images=run.generate(200))
    settings = (
        f"--extractor={tmp_path / 'means.keras'}",
        *("--num_images=200", "--num_real=300", "--metrics=fid,kid,precision_recall"),
    )
    code, stdout, stderr = command("evaluate", conditional, *settings)
    assert code == 0, stderr
    (record,) = json.loads((conditional / "evaluation" / "000006.json").read_text())
    assert record["figures"]["fid"] > 0 and "fid" in stdout
    protocol = record["protocol"]
    assert (protocol["num_fake"], protocol["num_real"]) == (200, 300)
    assert protocol["fake"].startswith("averaged generator at step 6, seed 0")
    assert protocol["extractor"] == "means.keras"

    # The same images from a file have the same figures.
    samples = f"--samples={tmp_path / 'samples.npz'}"
    code, _, stderr = command("evaluate", conditional, *settings, samples)
    assert code == 0, stderr
    (again,) = json.loads((conditional / "evaluation" / "samples.json").read_text())
    assert again["figures"] == pytest.approx(record["figures"], rel=1e-9)

    code, _, stderr = command(
        "evaluate", conditional, *settings, "--seed=3", "--truncation=0.5", "--noema"
    )
    assert code == 0, stderr
    *_, other = json.loads((conditional / "evaluation" / "000006.json").read_text())
    fake = "raw generator at step 6, seed 3, truncation 0.5"
    assert other["protocol"]["fake"] == fake
    assert other["protocol"]["kid_seed"] == 3

    reference = f"--reference={tmp_path / 'samples.npz'}"
    for arguments, message in (
        ((samples, reference), "are the same images"),
        (("--metrics=fit",), "There is no metric 'fit'"),
    ):
        code, _, stderr = command("evaluate", conditional, *settings, *arguments)
        assert code == 1 and message in stderr and "Traceback" not in stderr


def test_xla_is_used_where_it_is_asked_for(tmp_path):
    code, _, stderr = call(
        "train.py", f"--workdir={tmp_path}", *TINY, "--steps=2", "--jit_compile"
    )
    assert code == 0, stderr
    assert "doesn't support `jit_compile" not in stderr


def test_commands_say_what_is_missing(tmp_path):
    for command in ("sample", "export"):
        code, _, stderr = call("-m", "sagan_tf", command, f"--workdir={tmp_path}")
        assert code == 1
        assert "There is no run in" in stderr and "Traceback" not in stderr
    code, _, stderr = call("-m", "sagan_tf", "smaple")
    assert code == 1
    assert "attend, evaluate, export, film, import_torch, interpolate, nei" in stderr


def test_help_tells_the_commands_and_their_flags():
    code, stdout, _ = call("-m", "sagan_tf")
    assert code == 0
    assert "  attend        Shows where a run's attention looks" in stdout
    code, stdout, _ = call("-m", "sagan_tf", "attend", "--help")
    assert code == 0
    for flag in ("--workdir: Folder of the run", "--points: Points that look"):
        assert flag in stdout
