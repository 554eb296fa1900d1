import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import Sampler
from sagan_tf.errors import UserError
from sagan_tf.export import export_keras, export_saved_model, inference, saved_model
from sagan_tf.models.dcgan import DCGANGenerator
from tests.processes import call


@pytest.fixture
def sampler():
    keras.utils.set_random_seed(0)
    generator = DCGANGenerator(32, 1, width=8, num_classes=3)
    generator.build((None, generator.latent_dim))
    return Sampler(generator)


@pytest.mark.slow
def test_the_saved_model_is_run_by_tensorflow_alone(sampler, tmp_path, monkeypatch):
    seen = []
    run = saved_model.run_saved_model

    def spy(path, signature, inputs):
        outputs = run(path, signature, inputs)
        seen.append((signature, {name: x.shape for name, x in outputs.items()}))
        return outputs

    monkeypatch.setattr(saved_model, "run_saved_model", spy)
    path = export_saved_model(sampler, tmp_path / "model")
    images = {"images": (8, 32, 32, 1)}
    assert seen == [
        ("serving_default", images),
        ("attention", {**images, "attention_16x16": (8, 256, 256)}),
        ("sample", images),
    ]
    inputs = inference.make_inputs(sampler, 2)
    with pytest.raises(UserError, match="cannot run it.*no_such"):
        run(path, "no_such", inputs)


def test_of_an_export_with_other_images_nothing_is_left(sampler, tmp_path, monkeypatch):
    monkeypatch.setattr(
        saved_model,
        "run_saved_model",
        lambda _, __, inputs: {"images": np.zeros((8, 32, 32, 1))},
    )
    path = tmp_path / "model"
    path.mkdir()
    (path / "saved_model.pb").touch()
    with pytest.raises(UserError, match="SavedModel differs .*0.0001 is allowed"):
        export_saved_model(sampler, path)
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "saved_model.pb"]


def test_a_keras_file_is_the_generator(sampler, tmp_path):
    folder = export_keras(sampler, tmp_path / "keras")
    generator = keras.saving.load_model(folder / "generator.keras")
    inputs = inference.make_inputs(sampler, 2).values()
    np.testing.assert_array_equal(generator(*inputs), sampler.generator(*inputs))


@pytest.mark.parametrize("images", [np.full((1, 2), 2e-4), np.full((1, 2), np.nan)])
def test_differences_and_nan_are_refused(images):
    expected = {"images": np.zeros((1, 2))}
    with pytest.raises(UserError, match="X differs"):
        inference.check_equal("X", {"images": images}, expected)
    with pytest.raises(UserError, match=r"outputs image \[1, 2\] instead of images \["):
        inference.check_equal("X", {"image": images}, expected)
    with pytest.raises(UserError, match=r"images \[1, 1\] instead of images \[1, 2\]"):
        inference.check_equal("X", {"images": images[:, :1]}, expected)


def test_pixels_that_are_lower_differ():
    outputs, expected = {"images": np.uint8([[3]])}, {"images": np.uint8([[7]])}
    assert inference.check_equal("X", outputs, expected, bound=4) == 4


@pytest.mark.parametrize(
    "export",
    [export_keras, pytest.param(export_saved_model, marks=pytest.mark.exhaustive)],
)
def test_exports_of_half_precision_compute_in_float32(export, sampler, tmp_path):
    own = sampler.generator
    config = {**own.get_config(), "dtype": "mixed_bfloat16"}
    half = DCGANGenerator.from_config(config)
    half.build((None, half.latent_dim))
    half.set_weights(own.get_weights())
    folder = export(Sampler(half), tmp_path / "export")
    inputs = inference.make_inputs(sampler, 2)
    if export is export_keras:
        loaded = keras.saving.load_model(folder / "generator.keras")
        images = loaded(*inputs.values())
    else:
        loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
        images = loaded(**{name: tf.constant(x) for name, x in inputs.items()})[
            "images"
        ]
    np.testing.assert_allclose(images, own(*inputs.values()), atol=1e-5)


def test_a_process_that_is_killed_is_one_clear_line(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(UserError, match="cannot run it: exit code -9"):
        saved_model.run_saved_model(tmp_path, "sample", {"seed": np.int32(0)})


def test_small_differences_are_returned():
    outputs, expected = {"images": np.full((1, 2), 5e-5)}, {"images": np.zeros((1, 2))}
    assert inference.check_equal("X", outputs, expected) == pytest.approx(5e-5)


@pytest.mark.slow
def test_a_keras_file_is_read_by_a_process_of_its_own(sampler, tmp_path):
    export_keras(sampler, tmp_path / "keras")
    # As in docs/exporting.md.
    script = "import keras, sagan_tf.models, sys; keras.saving.load_model(sys.argv[1])"
    code, _, stderr = call("-c", script, str(tmp_path / "keras" / "generator.keras"))
    assert code == 0, stderr


def test_other_files_are_not_replaced(sampler, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "important.txt").touch()
    with pytest.raises(UserError, match="holds other files than such an export"):
        export_keras(sampler, thesis)
    (thesis / "checkpoints").mkdir()
    (thesis / "generator.keras").touch()
    with pytest.raises(UserError, match="holds other files than such an export"):
        export_keras(sampler, thesis)
    assert (thesis / "important.txt").exists()
    earlier = tmp_path / "earlier"
    for _ in range(2):
        export_keras(sampler, earlier)
        assert [file.name for file in earlier.iterdir()] == ["generator.keras"]
        (earlier / ".DS_Store").touch()
    (earlier / "mine").mkdir()
    (earlier / "mine" / "notes.txt").touch()
    with pytest.raises(UserError, match="replace them: mine/notes.txt. Move them"):
        export_keras(sampler, earlier)
    assert (earlier / "mine" / "notes.txt").exists()
