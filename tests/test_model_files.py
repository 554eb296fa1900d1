"""Networks in a file: saved, loaded like a run, and not trained in place."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from sagan_tf import load_pretrained, load_run, model_files, train
from sagan_tf.errors import UserError
from sagan_tf.evaluation.yardsticks import Yardstick
from sagan_tf.export.card import make_card
from sagan_tf.export.networks import count_samples
from sagan_tf.models.builders import build_sagan
from sagan_tf.records import records_path, save_record
from sagan_tf.report.history import read_history
from sagan_tf.run import Run
from sagan_tf.training.initialization import initialize
from sagan_tf.visualization.video import write_training_video
from tests.processes import REPOSITORY, pixels


@pytest.fixture(scope="module")
def folder(workdir, tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "networks"
    return load_run(workdir).export(path, format="networks")


@pytest.fixture
def pretrained(folder, tmp_path, monkeypatch):
    """The folder as one that comes along, seen from an empty directory."""
    shutil.copytree(folder, tmp_path / "package" / "pretrained" / "tiny")
    monkeypatch.setattr(
        model_files, "_pretrained_dir", lambda: tmp_path / "package" / "pretrained"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return empty


def test_loaded_networks_are_the_run_up_to_half_precision(workdir, folder):
    run, loaded = load_run(workdir), load_run(folder)
    assert loaded.step == run.step == 12
    difference = loaded.generate(64).astype(int) - run.generate(64)
    assert np.abs(difference).max() <= 1
    pairs = [(run.generator, loaded.generator), (run.generator, loaded.model.generator)]
    pairs.append((run.discriminator, loaded.discriminator))
    for own, other in pairs:
        for mine, its in zip(own.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(its, mine, rtol=1e-3, atol=1e-6)
    assert (folder / model_files.FILE).stat().st_size < 0.6 * sum(
        weights.nbytes
        for network in (run.generator, run.discriminator)
        for weights in network.get_weights()
    )
    names = sorted(path.name for path in folder.iterdir())
    files = ("README.md", "config.json", "networks.npz", "samples.png", "scores.json")
    assert names == list(files)


def test_a_generator_whose_pixels_would_change_is_stored_as_it_is(workdir, tmp_path):
    run = load_run(workdir)
    kernel = run.generator.to_image.kernel
    kernel.assign(kernel * 3e5)  # beyond float16, and steep
    run.export(tmp_path / "networks", format="networks")
    loaded = load_run(tmp_path / "networks")
    np.testing.assert_array_equal(loaded.generate(16), run.generate(16))
    arrays = np.load(tmp_path / "networks" / model_files.FILE)
    least = model_files._LEAST_HALVED
    large = {name: a for name, a in arrays.items() if a.size >= least}
    kinds = {name: array.dtype.name for name, array in large.items()}
    assert {kind for n, kind in kinds.items() if n.startswith("gen")} == {"float32"}
    assert {kind for n, kind in kinds.items() if n.startswith("dis")} == {"float16"}


def test_few_first_layers_stay_float32_where_that_is_enough(
    workdir, tmp_path, monkeypatch
):
    run = load_run(workdir)
    first, *_ = run.generator.get_weights()
    to_half = model_files._to_half
    # As if float16 were coarser in the first layer.
    monkeypatch.setattr(
        model_files,
        "_to_half",
        lambda array: to_half(array * 1.1 if array.shape == first.shape else array),
    )
    run.export(tmp_path / "networks", format="networks")
    loaded = load_run(tmp_path / "networks")
    difference = loaded.generate(256).astype(int) - run.generate(256)
    assert np.abs(difference).max() <= 1
    arrays = np.load(tmp_path / "networks" / model_files.FILE)
    large = [a for a in arrays.values() if a.size >= model_files._LEAST_HALVED]
    first, *others = [array.dtype.name for array in large]
    assert first == "float32" and set(others) == {"float16"}


def test_networks_of_a_run_in_half_precision_compute_in_float32(workdir, tmp_path):
    run = load_run(workdir)
    run.config = dataclasses.replace(run.config, precision="mixed_bfloat16")
    half = Run(run.config, build_sagan(run.config))
    half.generator.set_weights(run.generator.get_weights())
    folder = half.export(tmp_path / "networks", format="networks")
    loaded = load_run(folder)
    assert loaded.generator.compute_dtype == "float32"
    assert "--precision=mixed_bfloat16" in (folder / "README.md").read_text()
    loaded.sample(tmp_path / "samples.png", num_images=64)
    shown = pixels(folder / "samples.png").astype(int)
    assert np.abs(pixels(tmp_path / "samples.png") - shown).max() == 0
    assert np.abs(loaded.generate(64) - run.generate(64).astype(int)).max() <= 1


def test_the_card_says_how_it_was_made(folder):
    card = (folder / "README.md").read_text()
    assert "sagan-tf train --config=digits " in card and " --width=8 " in card
    assert "12 steps in" in card and "UCI repository" in card
    assert "None yet: `sagan-tf evaluate" in card


def test_the_card_names_the_networks_that_a_run_started_from(folder, workdir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    path = copy / "logs" / "starts.jsonl"
    start = json.loads(path.read_text())
    assert start["init_from"] is None
    path.write_text(json.dumps({**start, "init_from": "pretrained/faces64"}) + "\n")
    card = make_card(load_run(copy))
    assert "from the networks of `pretrained/faces64`, whose data and license" in card
    assert " --init_from=pretrained/faces64 --workdir=runs/copy\n```" in card
    path.write_text(json.dumps({**start, "init_from": "/home/ann/runs/a@best"}) + "\n")
    run = load_run(copy)
    run.config = dataclasses.replace(run.config, evaluation_extractor="/home/ann/e.h5")
    card = make_card(run)
    assert "networks of `a@best`" in card and " --init_from=a@best " in card
    assert "/home" not in card
    shown = str(REPOSITORY / "pretrained" / "faces64") + "/"
    path.write_text(json.dumps({**start, "init_from": shown}) + "\n")
    assert " --init_from=pretrained/faces64 " in make_card(load_run(copy))
    assert "It started from" not in (folder / "README.md").read_text()


def test_scores_go_with_the_networks(workdir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    own, other = (
        {"scores": {"frechet": score}, "protocol": {"extractor": name}}
        for name, score in (("own", 2.5), ("other", 3.5))
    )
    path = records_path(copy, 12)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([own]))
    networks = load_run(load_run(copy).export(tmp_path / "handed", format="networks"))
    assert networks.read_scores() == [own]
    # What is computed later is added, and replaces what has the same protocol.
    path = records_path(tmp_path / "handed", 12)
    save_record(path, other["scores"], other["protocol"])
    save_record(path, {"frechet": 2.25}, own["protocol"])
    own["scores"]["frechet"] = 2.25
    assert networks.read_scores() == [own, other]
    again = networks.export(tmp_path / "again", format="networks")
    assert load_run(again).read_scores() == [own, other]


def test_no_folder_of_the_machine_is_handed_on(workdir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    named = "held-out images of /home/ann/my cats/small/, at 32 px"
    protocol = {"real": "/home/ann/my cats, crop of 160 px, at 32 px", "num_real": 9}
    yardsticks = {"held_out": Yardstick(named, 5, {"frechet": 1.0})}
    path = records_path(copy, 12)
    save_record(path, {"frechet": 2.5}, protocol | {"extractor": "a/b"}, yardsticks)
    folder = load_run(copy).export(tmp_path / "handed", format="networks")
    for name in ("README.md", "scores.json", "config.json"):
        assert "/home" not in (folder / name).read_text(), name
    (record,) = json.loads((folder / "scores.json").read_text())
    assert record["protocol"] == {
        "real": "my cats, crop of 160 px, at 32 px",
        "num_real": 9,
        "extractor": "a/b",
    }
    assert "small, at 32 px" in (folder / "scores.json").read_text()


@pytest.mark.parametrize(
    ("step", "last", "said"),
    [
        (228, 200, "228 of 11,000 steps (the first 200 in 40 s)."),
        (200, 200, "200 of 11,000 steps in 40 s."),
        (100, 200, "100 steps in 20 s, of a run to step 200."),
        (11_000, 11_000, "11,000 steps in 36.7 min."),
    ],
)
def test_the_card_says_how_far_a_run_came(step, last, said, workdir, monkeypatch):
    run = load_run(workdir)
    run.config = dataclasses.replace(run.config, steps=11_000)
    rows = np.arange(100.0, last + 1, 100)
    metrics = {"step": rows, "training_seconds": rows / 5}
    history = read_history(workdir)._replace(metrics=metrics, starts=[])
    monkeypatch.setattr("sagan_tf.export.card.read_history", lambda folder: history)
    monkeypatch.setattr(Run, "step", step)
    assert f"\n\n{said}\n\n## Data" in make_card(run)


def test_the_card_of_networks_says_what_else_is_in_the_folder(folder):
    card = make_card(load_run(folder), " And `onnx/`.")
    assert card.count("## Use") == 1 and "the package sagan_tf. And `onnx/`." in card
    assert card.replace(" And `onnx/`.", "") == (folder / "README.md").read_text()


@pytest.mark.parametrize("read", [read_history, write_training_video])
def test_networks_alone_have_no_logs_and_grids(read, folder, pretrained):
    for workdir in (folder, "pretrained/tiny"):
        with pytest.raises(UserError, match="networks without the logs and grids"):
            read(workdir)


def test_networks_alone_make_what_a_run_makes(workdir, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    run, whole = load_run(copy), load_run(workdir)
    effects, page = run.attend(num_images=2, num_real=2)
    expected, _ = whole.attend(tmp_path / "attention", num_images=2, num_real=2)
    assert page.parent.parent == copy and set(effects) == set(expected)
    for name, effect in expected.items():
        np.testing.assert_allclose(effects[name], effect, atol=1e-2)
    run.interpolate(tmp_path / "interpolation.png")
    assert pixels(tmp_path / "interpolation.png").any()
    run.neighbors(tmp_path / "neighbors.png", num_images=2)
    assert pixels(tmp_path / "neighbors.png").any()


def test_pretrained_networks_write_to_runs(pretrained):
    run = load_pretrained("tiny")
    assert run.config.workdir == "runs/pretrained/tiny"
    run.sample()
    assert list(pretrained.glob("runs/pretrained/tiny/**/*.png"))
    assert load_run("pretrained/tiny").step == 12
    with pytest.raises(UserError, match="no pretrained networks 'big'. There are tiny"):
        load_pretrained("big")
    with pytest.raises(UserError, match="There is no run in pretrained/big"):
        load_run("pretrained/big")


def test_training_starts_from_them_but_not_in_them(folder, pretrained):
    run = load_run(folder)
    model = load_run(folder).model
    for variable in model.generator.variables + model.discriminator.variables:
        variable.assign(variable * 0)
    initialize(model, "pretrained/tiny")
    for own, other in zip(
        model.generator.get_weights(), run.generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, other)
    for config in (load_run(folder).config, load_run("pretrained/tiny").config):
        at = {"workdir": "pretrained/tiny"} if config.workdir != str(folder) else {}
        with pytest.raises(UserError, match="--init_from=.* --workdir=runs/contin"):
            train(dataclasses.replace(config, **at))
    assert not list(folder.glob(".lock*"))


def test_damaged_files_and_other_networks_are_refused(folder, tmp_path):
    copy = tmp_path / "networks"
    shutil.copytree(folder, copy)
    assert load_run(copy, step=12).step == 12
    for other in ({"step": 3}, {"best": True}):
        with pytest.raises(UserError, match="of step 12 only: leave out --best and --"):
            load_run(copy, **other)
    settings = (copy / "config.json").read_text()
    (copy / "config.json").write_text(settings.replace('"width": 8', '"width": 16'))
    with pytest.raises(UserError, match="does not hold the networks that config.json"):
        load_run(copy)
    (copy / "config.json").write_text(settings)
    arrays = dict(np.load(copy / model_files.FILE))
    for name, value, message in (
        ("step", np.array([1, 2]), "does not hold the networks"),
        ("step", np.array(-1), "does not hold the networks"),
        ("generator/to_image/bias", np.array([np.nan]), "not finite"),
    ):
        np.savez(copy / model_files.FILE, **{**arrays, name: value})
        with pytest.raises(UserError, match=message):
            load_run(copy)
    np.savez(copy / model_files.FILE, **arrays)
    whole = (copy / model_files.FILE).read_bytes()
    (copy / model_files.FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not an .npz file"):
        load_run(copy)


def test_networks_alone_are_exported_again_and_have_no_raw_generator(folder, tmp_path):
    run = load_run(folder)
    path = run.export(tmp_path / "again", format="networks")
    card = (folder / "README.md").read_text()
    assert " steps in " in card  # as the run itself had recorded
    assert (path / "README.md").read_text() == card
    # An edited card stays beside the new one, and so does a second one.
    kept = {}
    for name, text in (("README.old.md", "Mine."), ("README.old_2.md", "Mine too.")):
        (path / "README.md").write_text(text)
        kept[name] = text
        for _ in range(2):
            run.export(path, format="networks")
            assert (path / "README.md").read_text() == card
            assert {p.name: p.read_text() for p in path.glob("*old*")} == kept
    (path / ".git").mkdir()
    (path / ".git" / "HEAD").touch()
    with pytest.raises(UserError, match="would replace them: .git/HEAD. Move"):
        run.export(path, format="networks")
    assert (path / ".git" / "HEAD").exists()
    with pytest.raises(UserError, match="no generator but the EMA generator"):
        run.evaluate(ema=False)


@pytest.mark.parametrize("name", model_files.pretrained_names())
def test_pretrained_networks_give_the_grid_of_their_card(name, tmp_path):
    run = load_pretrained(name)
    run.sample(tmp_path / "samples.png", count_samples(run.config.image_size))
    shown = pixels(REPOSITORY / "pretrained" / name / "samples.png").astype(int)
    # float16 changes a pixel by 1 at most, and another machine rounds differently.
    assert np.abs(pixels(tmp_path / "samples.png") - shown).max() <= 3
