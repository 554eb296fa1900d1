"""The commands as a user calls them, in this process."""

import contextlib
import dataclasses
import importlib
import inspect
import json
import shutil
import signal
import socket
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from sagan_tf import Run, Sampler, load_run
from sagan_tf.commands.evaluate import describe_precision
from sagan_tf.commands.main import COMMANDS, run_command
from sagan_tf.config import load_config
from sagan_tf.data import load_images
from sagan_tf.evaluation import METRICS
from sagan_tf.flags import describe_flags
from tests.data.test_record import write_picture
from tests.processes import TINY, pixels


@pytest.fixture
def call(capsys):
    """Runs a command; returns its output."""

    def call(*arguments):
        code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return call


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail; returns the one line that says why."""

    def fails(*arguments):
        code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 1
        assert captured.err.startswith("Error: ") and captured.err.count("\n") == 1
        return captured.err

    return fails


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """The directory of a run with classes."""
    workdir = tmp_path_factory.mktemp("conditional")
    settings = (
        *("train", "--config=mnist_conditional", "--dataset=digits", "--width=4"),
        "--discriminator_attention_resolutions=8",
        *("--batch_size=8", "--num_samples=20", "--steps=6", f"--workdir={workdir}"),
    )
    assert run_command(list(settings)) == 0
    return workdir


def test_sample_writes_grids_arrays_and_folders(workdir, tmp_path, call):
    run = f"--workdir={workdir}"
    call("sample", run, f"--output={tmp_path / 'a.npz'}", "--num_images=3")
    call("sample", run, f"--output={tmp_path / 'b.npz'}", "--num_images=70")
    a, b = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    assert a["images"].shape == (3, 32, 32, 1) and a["images"].dtype == np.uint8
    assert b["latents"].shape == (70, 128) and b["latents"].dtype == np.float32
    np.testing.assert_array_equal(a["latents"], b["latents"][:3])
    np.testing.assert_array_equal(a["images"], b["images"][:3])
    call("sample", run, f"--output={tmp_path / 'grid.png'}", "--num_images=5")
    assert pixels(tmp_path / "grid.png").shape == (64, 96)
    said = call("sample", run, f"--output={tmp_path / 'folder'}", "--num_images=1")
    assert said == f"1 image of step 12 saved to {tmp_path / 'folder'}\n"
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_default_outputs_overwrite_nothing(workdir, call):
    names = [
        call("sample", f"--workdir={workdir}", "--seed=3", "--num_images=1").split("/")
        for _ in range(2)
    ]
    assert [name[-1] for name in names] == [
        "step000012_seed3.png\n",
        "step000012_seed3_2.png\n",
    ]


def test_a_run_with_classes_is_sampled_by_number_and_name(conditional, tmp_path, call):
    run = f"--workdir={conditional}"
    call("sample", run, f"--output={tmp_path / 'a.npz'}", "--labels=3,7,3")
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["labels"].tolist() == [3, 7, 3] and len(arrays["images"]) == 3
    loaded = load_run(conditional)
    assert loaded.config.classes == tuple("0123456789")
    for labels in ([3, 7, 3], ["3", "7", "3"]):
        np.testing.assert_array_equal(
            arrays["images"], loaded.generate(3, labels=labels)
        )
    # One class gives a grid of it, with 64 images by default.
    grid = tmp_path / "class.png"
    call("sample", run, f"--output={grid}", "--labels=7")
    assert pixels(grid).shape == (8 * 32, 8 * 32)
    said = call(
        *("sample", run, f"--output={tmp_path / 'grid.png'}"),
        *("--num_images=20", "--standing_statistics=1"),
    )
    assert "Classes, from the top row: 0, 1, 2, 3, 4, 5\n" in said
    # One row per class: as many as fit, with three columns for twenty images.
    height, width = pixels(tmp_path / "grid.png").shape
    assert (height // 32, width // 32) == (6, 3)


def test_class_names_with_commas_and_control_characters(
    conditional, tmp_path, call, fails
):
    copy = tmp_path / "run"
    shutil.copytree(conditional, copy)
    config = json.loads((copy / "config.json").read_text())
    config["classes"][:3] = ["cats, small", "do\x1b[2Jgs", "a\nb"]
    (copy / "config.json").write_text(json.dumps(config))
    run = f"--workdir={copy}"
    call("sample", run, f"--output={tmp_path / 'a.npz'}", '--labels="cats, small",3')
    assert np.load(tmp_path / "a.npz")["labels"].tolist() == [0, 3]
    said = call("sample", run, f"--output={tmp_path / 'grid.png'}", "--num_images=20")
    assert r'top row: "cats, small", do\x1b[2Jgs, a\nb, 3' in said
    assert r"do\x1b[2Jgs, a\nb" in fails("sample", run, "--labels=unknown")


def test_a_moved_folder_of_images_can_be_named(tmp_path, call, fails):
    for number in range(9):
        write_picture(tmp_path / "data" / f"{number}.png", 20 * number)
    run, output = f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'a.png'}"
    settings = ("--image_size=32", "--channels=1", "--width=8", "--batch_size=4")
    data = f"--data_dir={tmp_path / 'data'}"
    call("train", run, "--dataset=folder", data, *settings, "--steps=1")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "does not exist" in fails("neighbors", run, output)
    call("neighbors", run, output, f"--data_dir={tmp_path / 'moved'}")


def test_standing_statistics_are_used_once(conditional, tmp_path):
    run = load_run(conditional)
    before = run.generate(2, labels=1)
    sample = run.sample(
        tmp_path / "a.npz", num_images=2, labels=1, standing_statistics=2
    )
    np.testing.assert_array_equal(run.generate(2, labels=1), before)
    run.sampler.take_standing_statistics(2)
    np.testing.assert_array_equal(run.generate(2, labels=1), sample.images)
    assert (sample.images != before).any()


def test_a_saved_model_with_classes(conditional):
    run = load_run(conditional)
    model = tf.saved_model.load(str(conditional / "export" / "saved_model"))
    sample = model.signatures["sample"]
    settings = {
        "num_images": tf.constant(5),
        "seed": tf.constant(1),
        "truncation": tf.constant(1.0),
    }
    for label, labels in ((4, [4]), (-1, None)):
        images = sample(**settings, label=tf.constant(label))["images"]
        np.testing.assert_array_equal(images, run.generate(5, 1, labels=labels))
    latents, labels = tf.ones([2, 128]), tf.constant([1, 2])
    inputs = {"latents": latents, "labels": labels}
    images = model.signatures["serving_default"](**inputs)["images"]
    np.testing.assert_allclose(images, run.generator(latents, labels), atol=1e-5)
    maps = model.signatures["attention"](**inputs)
    assert maps["attention_8x8"].shape == (2, 64, 64)
    for wrong in (-1, 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 9"):
            model.signatures["serving_default"](
                latents=latents, labels=tf.constant([0, wrong])
            )
    for wrong in (-2, 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match="from -1 to 9"):
            sample(**settings, label=tf.constant(wrong))


def test_attend_writes_overlays_and_a_page(conditional, tmp_path, call):
    said = call(
        *("attend", f"--workdir={conditional}", f"--output={tmp_path}"),
        *("--num_images=3", "--num_real=2", "--labels=1,7", "--points=4,4;20,9"),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attention.html",
        "discriminator_8x8.png",
        "discriminator_8x8_real.png",
        "generator_8x8.png",
    ]
    assert "Generator 8×8" in said and "%" in said
    # A title, three images, and two maps beside each of them.
    assert pixels(tmp_path / "generator_8x8.png").shape == (22 + 3 * 132 - 4, 392, 3)
    page = (tmp_path / "attention.html").read_text()
    captions = ["Generated 1, 1", "Generated 2, 7", "Generated 3, 1", "Real 1, "]
    assert all(f'"caption":"{caption}' in page for caption in captions)


def test_interpolate_between_latents_and_classes(conditional, tmp_path, call):
    run = f"--workdir={conditional}"
    call(
        *("interpolate", run, "--labels=3,7,0", "--steps=3", "--num_images=2"),
        f"--output={tmp_path / 'classes.png'}",
    )
    grid = pixels(tmp_path / "classes.png")
    assert grid.shape == (2 * 32, 5 * 32)
    loaded = load_run(conditional)
    for column, label in ((0, 3), (2, 7), (4, 0)):
        images = loaded.generate(2, labels=[label] * 2)[..., 0]
        tiles = grid[:, column * 32 : (column + 1) * 32].reshape(2, 32, 32)
        assert abs(tiles.astype(int) - images).max() <= 1
    said = call("interpolate", run, "--steps=3", f"--output={tmp_path / 'video.gif'}")
    assert said.startswith("4 paths of 8 images, step 6, saved to ")
    with Image.open(tmp_path / "video.gif") as video:
        assert video.n_frames == 4 * 2


def test_a_training_video_is_in_the_order_of_the_steps(tmp_path, call):
    (tmp_path / "samples").mkdir()
    for gray, step in ((10, "000500"), (60, "999500"), (120, "1000000")):
        picture = Image.new("L", (64, 64), gray)
        picture.save(tmp_path / "samples" / f"{step}.png")
    output = tmp_path / "video.gif"
    said = call("video", f"--workdir={tmp_path}", "--fps=2", f"--output={output}")
    assert "3 grids, steps 500 to 1000000" in said
    with Image.open(output) as video:
        assert video.size == (256, 256)
        grays = []
        for number in range(video.n_frames):
            video.seek(number)
            grays.append(video.convert("L").getpixel((0, 0)))
        # Pillow merges equal frames into one that stays longer.
        assert grays == [10, 60, 120] and video.info["duration"] == 1500


def test_truncation_grid_and_neighbors(workdir, tmp_path, call):
    said = call(
        *("sample", f"--workdir={workdir}", "--truncation=0,1", "--num_images=3"),
        f"--output={tmp_path / 'sweep.png'}",
    )
    assert "Truncations, from the top row: 0, 1" in said
    sweep = pixels(tmp_path / "sweep.png").reshape(2, 32, 3, 32)
    np.testing.assert_array_equal(sweep[0, :, 0], sweep[0, :, 1])  # latents of zeros
    run = load_run(workdir)
    images = run.generate(3)[..., 0]
    np.testing.assert_array_equal(sweep[1].swapaxes(0, 1), images)
    said = call(
        *("neighbors", f"--workdir={workdir}", "--num_images=2"),
        f"--output={tmp_path / 'near.png'}",
    )
    grid = pixels(tmp_path / "near.png").reshape(2, 32, 9, 32).swapaxes(1, 2)
    real, _ = load_images(run.config)
    for row, sample in zip(grid, run.generate(2)[..., 0], strict=True):
        np.testing.assert_array_equal(row[0], sample)
        difference = real[..., 0].astype(float) - sample
        nearest = np.argsort((difference**2).sum(axis=(1, 2)))[:7]
        np.testing.assert_array_equal(row[2:], real[nearest, ..., 0])
    lines = [line.split() for line in said.splitlines() if line.startswith("  of ")]
    assert [line[:-2] for line in lines] == [
        ["of", "samples"],
        ["of", "other", "training", "images"],
    ]
    assert all(float(line[-1]) <= float(line[-2]) for line in lines)  # the smallest


@pytest.fixture
def extractor(tmp_path, monkeypatch):
    """An extractor of the means of 8x8 squares, and an empty cache."""
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    inputs = keras.Input((32, 32, 1))
    features = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    keras.Model(inputs, features).save(tmp_path / "means.keras")
    return tmp_path / "means.keras"


def test_networks_alone_are_evaluated_like_their_run(
    conditional, tmp_path, extractor, call
):
    copy, networks = tmp_path / "copy", tmp_path / "networks"
    shutil.copytree(conditional, copy)
    flags = (f"--extractor={extractor}", "--num_images=60", "--metrics=frechet")
    call(
        "export", f"--workdir={conditional}", "--format=networks", "--output", networks
    )
    call("evaluate", f"--workdir={networks}", *flags)
    (record,) = json.loads((networks / "evaluation" / "000006.json").read_text())
    of_run = load_run(copy).evaluate(("frechet",), str(extractor), 60)
    ratio = record["scores"]["frechet_means"] / of_run.scores["frechet_means"]
    assert abs(ratio - 1) < 1e-3  # stored as float16
    assert load_run(networks).read_scores() == [record]


def test_evaluate_saves_scores_with_their_protocol(
    conditional, tmp_path, extractor, call, fails
):
    run = load_run(conditional)
    np.savez(tmp_path / "samples.npz", images=run.generate(200))
    settings = (
        *("evaluate", f"--workdir={conditional}", f"--extractor={extractor}"),
        *("--num_images=200", "--num_real=300", "--force"),
        "--metrics=frechet,kernel,precision_recall",
    )
    said = call(*settings)
    (record,) = json.loads((conditional / "evaluation" / "000006.json").read_text())
    assert record["scores"]["frechet_means"] > 0
    header, counts, first, *_ = said[said.index("generated") :].splitlines()
    assert header.split() == ["generated", "held-out", "real", "noise"]
    assert counts.split() == ["images", "200", "179", "200"]
    held_out, noise = (record["yardsticks"][k] for k in ("held_out", "noise"))
    columns = (record, held_out, noise)
    assert first.split() == ["frechet_means"] + [
        f"{column['scores']['frechet_means']:.5g}" for column in columns
    ]
    assert (held_out["num_images"], noise["images"]) == (179, "uniform noise")
    protocol = record["protocol"]
    assert (protocol["num_fake"], protocol["num_real"]) == (200, 300)
    assert protocol["fake"].startswith("EMA generator at step 6, seed 0")
    assert protocol["extractor"] == "means.keras"

    # The same images from a file have the same scores.
    samples = f"--samples={tmp_path / 'samples.npz'}"
    assert " samples " in call(*settings, samples)
    (again,) = json.loads((conditional / "evaluation" / "samples.json").read_text())
    assert again["scores"] == pytest.approx(record["scores"], rel=1e-9)

    call(*settings, "--seed=3", "--truncation=0.5", "--noema")
    *_, other = json.loads((conditional / "evaluation" / "000006.json").read_text())
    fake = "raw generator at step 6, seed 3, truncation 0.5"
    assert other["protocol"]["fake"] == fake
    assert other["protocol"]["kernel_seed"] == 3

    reference = f"--reference={tmp_path / 'samples.npz'}"
    assert "are the same images" in fails(*settings, samples, reference)
    assert "There is no metric 'fit'" in fails(*settings, "--metrics=fit")
    said = fails(*settings, "--metrics=fid,precision_recall")
    assert "--metrics=frechet,precision_recall or --extractor=inception" in said


def test_evaluate_ends_before_it_generates_if_the_extractor_cannot_judge(
    conditional, tmp_path, monkeypatch, call, fails
):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    inputs = keras.Input((32, 32, 1))
    rows = keras.layers.Flatten()(keras.layers.AveragePooling2D((8, 32))(inputs))
    keras.Model(inputs, rows).save(tmp_path / "rows.keras")
    # Against noise as the reference, noise scores best.
    noise = np.random.default_rng(1).integers(0, 256, (400, 32, 32, 1), np.uint8)
    np.savez(tmp_path / "noise.npz", images=noise)
    arguments = (
        *("evaluate", f"--workdir={conditional}", f"--extractor={tmp_path}/rows.keras"),
        *("--num_images=50", "--metrics=frechet", f"--reference={tmp_path}/noise.npz"),
    )
    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "render", lambda *_: pytest.fail("generated"))
        said = fails(*arguments)
    assert "cannot judge this data: its kernel_rows is" in said and "--force" in said
    assert "frechet_rows" in call(*arguments, "--force")


def test_evaluate_says_what_is_missing_before_a_classifier_is_trained(
    workdir, conditional, tmp_path, monkeypatch, fails
):
    from sagan_tf import evaluation

    monkeypatch.setattr(
        evaluation, "load_extractor", lambda *_: pytest.fail("trained a classifier")
    )
    settings = ("--extractor=classifier", "--metrics=intra_frechet")
    said = fails("evaluate", f"--workdir={workdir}", *settings)
    assert "intra_frechet needs class labels, and EMA generator at step 12" in said
    run = f"--workdir={conditional}"
    said = fails("evaluate", run, *settings, "--num_images=12")
    assert "needs 2 images of each class. EMA generator at step 6" in said
    count = int(said.split("--num_images=")[1].split()[0])
    labels = load_run(conditional).sampler.labels(count, 0)
    assert np.bincount(labels).min() >= 2 and len(np.bincount(labels)) == 10
    said = fails("evaluate", run, "--extractor=x", "--metrics=class_score")
    assert "class_score needs an extractor with class probabilities" in said


def test_the_best_checkpoint_is_used_on_request(workdir, tmp_path, call, fails):
    best = ("sample", f"--workdir={workdir}", "--best", f"--output={tmp_path}/a.npz")
    assert "was not trained with --evaluation_interval" in fails(*best)
    from sagan_tf.training.checkpoints import Checkpoints

    run = load_run(workdir)
    run.model.step.assign(5)
    run.generator.set_weights(run.model.generator.get_weights())
    Checkpoints(workdir, run.model).save_best()
    call(*best, "--num_images=3")
    images = np.load(tmp_path / "a.npz")["images"]
    np.testing.assert_array_equal(images, Sampler(run.generator).generate(3))
    assert (images != load_run(workdir).generate(3)).any()


def test_mistakes_are_one_clear_line(workdir, conditional, tmp_path, fails):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "000000.png").touch()
    run, classes = f"--workdir={workdir}", f"--workdir={conditional}"
    for arguments, message in (
        (["sample", run, f"--output={tmp_path / 'file'}"], "Not a directory"),
        (
            ["sample", run, f"--output={tmp_path}/file/x.png"],
            "x.png cannot be written: File exists",
        ),
        (["sample", run, f"--output={tmp_path / 'folder'}"], "is not empty"),
        (["sample", run, "--output=x.jpg"], "takes FILE.png, FILE.npz or a folder"),
        (["sample", run, "--truncation=nan"], "--truncation takes numbers"),
        (["sample", run, "--labels=3"], "has no classes: leave out --labels"),
        (["sample", classes, "--labels=3,12"], "no class '12'"),
        (["sample", classes, "--labels=cat"], "no class 'cat'. It has 0 to 9\n"),
        (["interpolate", classes, "--labels=3"], "two classes or more"),
        (["interpolate", run, "--method=foo"], "must be one of spherical, linear"),
        (["attend", classes, "--points=4,4;20"], "takes 'x,y;x,y'"),
        (["attend", classes, "--points=4,32"], "4,32 is outside the image"),
        (["sample", f"--workdir={tmp_path}"], "There is no run in"),
        (["export", f"--workdir={tmp_path}"], "There is no run in"),
        (["sample"], "Error: Give either --workdir=DIR, a run directory, or --pret"),
        (["sample", run, "--pretrained=digits"], "Error: Give either --workdir=DIR"),
        (["sample", "--pretrained=dogs"], "There are no pretrained networks 'dogs'"),
        (
            ["smaple"],
            "There is no command 'smaple'. Did you mean sample? Commands: train, "
            "prepare, ",
        ),
        (["sample", run, "more"], "Unexpected argument 'more'"),
    ):
        assert message in fails(*arguments), arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=folder"], "--data_dir=DIR"),
        (["--dataset=digits", "--data_dir=photos"], "not read from"),
        (["--data_dir=nowhere"], "does not exist"),
        (["--dry_run", "--data_dir=nowhere"], "does not exist"),
        (["--dataset=folder", "--data_dir=nowhere"], "does not exist"),
        (
            ["--dataset=mnist", "--data_dir=/nowhere"],
            "/nowhere is neither a folder nor",
        ),
        (["--image_size=48"], "32, 64, 128, 256"),
        (["--generator_attention_resolutions=5"], "attention can be at 4, 8, 16"),
        (["--batch_size=5000"], "fewer than"),
    ],
)
def test_mistakes_in_settings_leave_no_run(arguments, message, tmp_path, fails):
    workdir = tmp_path / "run"
    assert message in fails("train", f"--workdir={workdir}", *arguments)
    assert not workdir.exists()


def test_other_settings_are_refused(workdir, fails):
    said = fails("train", f"--workdir={workdir}", *TINY, "--batch_size=16")
    assert "holds a run with other settings: batch_size: 8 -> 16" in said
    wanted = dataclasses.replace(load_config(workdir), batch_size=16)
    command = f"python -m sagan_tf train {describe_flags(wanted)} --workdir={workdir}_2"
    assert f"To train a new run with these settings: {command}. To start from" in said


def test_a_fine_tuned_run_with_other_settings_starts_from_the_same_networks(
    workdir, tmp_path, fails
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    starts = copy / "logs" / "starts.jsonl"
    start = json.loads(starts.read_text())
    starts.write_text(json.dumps({**start, "init_from": "runs/first@best"}) + "\n")
    said = fails("train", f"--workdir={copy}", *TINY, "--batch_size=16")
    new = f" --init_from=runs/first@best --workdir={copy}_2. To start from the networks"
    assert new in said
    assert f"networks of {copy}: python -m sagan_tf train --init_from={copy} " in said
    # Networks of another size cannot start from those.
    said = fails("train", f"--workdir={copy}", *TINY, "--width=16")
    assert "--init_from=runs/first" not in said and "--init_partially" in said


def test_other_settings_with_a_missing_folder_name_the_folder(workdir, tmp_path, fails):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    for given, message in (
        ([f"--data_dir={tmp_path / 'rum'}"], "does not exist. Did you mean run?"),
        ([], "A folder of images needs --data_dir=DIR"),
    ):
        said = fails("train", f"--workdir={copy}", "--dataset=folder", *given)
        assert message in said


def test_an_import_that_is_interrupted_is_stopped(monkeypatch, capsys):
    def interrupt(arguments):
        with contextlib.suppress(KeyboardInterrupt):  # as imports of modules in C++ do
            signal.raise_signal(signal.SIGINT)
        raise ImportError("generic_type is already registered")

    monkeypatch.setattr("sagan_tf.commands.main._run", interrupt)
    assert run_command(["train"]) == 130
    assert capsys.readouterr().err == "Stopped\n"


def test_what_a_killed_export_left_is_deleted(workdir, tmp_path, call):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    left = copy / "export" / f".partial-{socket.gethostname()}-99999999-keras"
    left.mkdir(parents=True)
    call("export", f"--workdir={copy}", "--format=networks")
    names = {path.name for path in (copy / "export").iterdir()}
    assert "networks" in names and left.name not in names


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["sample", "--pretrained=face64"], "Did you mean faces64?"),
        (["sample", "--pretrained=pretrained/faces64"], "Did you mean faces64?"),
        (["train", "--config=face64"], "Did you mean faces64?"),
        (["sample", "--workdir=runs/faces64"], "Train one with"),
    ],
)
def test_near_names_are_suggested(arguments, hint, fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hint in fails(*arguments)


def test_a_high_precision_of_noise_is_explained():
    def note(own, noise):
        result = SimpleNamespace(
            scores={"frechet": 1.0, "precision_classifier": own},
            yardsticks={
                "noise": SimpleNamespace(scores={"precision_classifier": noise})
            },
        )
        return describe_precision(result)

    assert "Read precision together with recall" in note(own=0.8, noise=0.9)
    assert note(own=0.8, noise=0.7) == note(own=0.8, noise=0.8) == ""


@pytest.mark.parametrize("dry_run", [[], ["--dry_run"]])
def test_steps_beyond_the_decay_are_refused(tmp_path, fails, dry_run):
    flags = ["--steps=20", "--decay_start_step=4", "--decay_end_step=10"]
    said = fails("train", f"--workdir={tmp_path / 'run'}", *TINY, *flags, *dry_run)
    assert "--decay_start_step=8 --decay_end_step=20" in said
    assert not (tmp_path / "run").exists()


def test_dry_run_writes_nothing(tmp_path, call):
    said = call("train", f"--workdir={tmp_path / 'run'}", "--dry_run", "--width=8")
    assert "Memory, estimated" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ["sample", "interpolate", "attend", "evaluate", "neighbors"]
)
def test_defaults_are_those_of_the_methods(name):
    values = flags.FlagValues()
    importlib.import_module(f"sagan_tf.commands.{name}").define_flags(values)
    parameters = inspect.signature(getattr(Run, name)).parameters
    shared = set(parameters) & set(values) - {"truncation", "num_images"}
    if name not in ("sample", "interpolate"):  # there they are of other things
        shared |= {"num_images"}
    assert len(shared) > 3
    for flag in shared:
        default = parameters[flag].default
        default = list(default) if isinstance(default, tuple) else default
        assert values[flag].default == default, flag


def test_exports_go_to_the_folder_that_is_named(workdir, tmp_path, call):
    one, several = tmp_path / "one", tmp_path / "several"
    call("export", f"--workdir={workdir}", "--format=networks", f"--output={one}")
    assert (one / "networks.npz").exists()
    formats = "--format=networks,keras"
    call("export", f"--workdir={workdir}", formats, f"--output={several}")
    assert (several / "networks" / "networks.npz").exists()
    assert (several / "keras" / "generator.keras").exists()


def test_a_missing_package_is_named(fails, monkeypatch):
    """As after `pip install --no-deps .`, for the layers alone."""

    def import_module(name):
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    monkeypatch.setattr(importlib, "import_module", import_module)
    assert "need the package psutil, which is missing: python -m pip" in fails("doctor")


def test_help_lists_commands_and_flags(call):
    said = call()
    for name in COMMANDS:
        assert f"\n  {name} " in said
    assert call("--help") == said
    assert call("--version").startswith("sagan_tf 0.")
    said = call("attend", "--help")
    for text in ("--workdir\n      Run directory", "--num_images  (default: 8)"):
        assert text in said
    said = call("train", "--help")
    assert "--dry_run" in said and "Networks\n" in said and "--batch_size" in said
    said = " ".join(call("evaluate", "--help").split())
    names = list(METRICS)
    assert f"Some of {', '.join(names[:-1])} and {names[-1]}." in said
