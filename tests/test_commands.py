"""python -m sagan_tf COMMAND, as a user calls it."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import load_run
from sagan_tf.data import load_images
from tests.processes import call, command, pixels


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
    code, stdout, stderr = sample(
        f"--output={tmp_path / 'grid.png'}",
        "--num_images=20",
        "--standing_statistics=1",
    )
    assert code == 0, stderr
    assert "Classes, from the top row: 0, 1, 2, 3, 4, 5\n" in stdout
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


def test_commands_say_what_is_missing(tmp_path):
    for name in ("sample", "export"):
        code, _, stderr = command(name, tmp_path)
        assert code == 1
        assert "There is no run in" in stderr and "Traceback" not in stderr
    code, _, stderr = call("-m", "sagan_tf", "sample")
    assert code == 1
    assert "Error: --workdir is missing: Folder of the run." in stderr
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
