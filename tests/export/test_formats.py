"""Exports of each network, run by their own runtimes."""

import json

import keras
import numpy as np
import pytest

from sagan_tf import Sampler
from sagan_tf.errors import UserError
from sagan_tf.export import litert, onnx
from sagan_tf.export.inference import make_inputs, prepare_inference
from sagan_tf.export.keras_file import export_keras
from sagan_tf.export.litert import export_litert, open_litert
from sagan_tf.export.onnx import export_onnx, open_onnx
from sagan_tf.layers import SpectralNormalization
from sagan_tf.models.dcgan import DCGANGenerator
from sagan_tf.models.infogan import InfoGANGenerator
from sagan_tf.models.resnet import ResNetGenerator

NETWORKS = {
    "dcgan": lambda: DCGANGenerator(32, 1, width=8, attention_resolutions=(8, 16)),
    "resnet": lambda: ResNetGenerator(
        32, width=4, num_classes=5, conditional_spectral_normalization=True
    ),
    "infogan": lambda: InfoGANGenerator(32, 1, width=4),
    "no_attention": lambda: DCGANGenerator(32, width=4, attention_resolutions=()),
}


@pytest.fixture(params=NETWORKS)
def sampler(request):
    keras.utils.set_random_seed(0)
    generator = NETWORKS[request.param]()
    sampler = Sampler(generator)
    sampler.take_standing_statistics(2, 16)
    for variable in generator.variables:
        if variable.name == "gamma" and not variable.shape:
            variable.assign(0.7)
    return sampler


@pytest.fixture
def small():
    keras.utils.set_random_seed(0)
    sampler = Sampler(NETWORKS["dcgan"]())
    sampler.take_standing_statistics(2, 16)
    return sampler


def inputs_of(sampler, count):
    inputs = {"latents": np.asarray(sampler.latents(count, seed=5))}
    if sampler.num_classes:
        inputs["labels"] = np.arange(count, dtype=np.int32) % sampler.num_classes
    return inputs


@pytest.mark.parametrize(
    ("export", "suffix"), [(export_onnx, "onnx"), (export_litert, "tflite")]
)
def test_another_runtime_computes_the_same_images(sampler, export, suffix, tmp_path):
    pytest.importorskip("onnxruntime" if suffix == "onnx" else "ai_edge_litert")
    folder = export(sampler, tmp_path / "export")
    inputs = inputs_of(sampler, 3)  # another batch size than that of the comparison
    expected, maps = sampler.generator(*inputs.values(), return_attention_scores=True)

    def run(name):
        if suffix == "onnx":
            return open_onnx(folder / f"{name}.onnx")(inputs)
        return open_litert(folder / "generator.tflite", name)(inputs)

    images = run("generator")["images"]
    np.testing.assert_allclose(images, expected, atol=1e-4)
    if maps:
        outputs = run("attention")
        assert set(outputs) == {"images", *maps}
        for name, scores in maps.items():
            np.testing.assert_allclose(outputs[name], scores, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "largest"), [("generator_float16", 0.05), ("generator_int8", 1.0)]
)
def test_smaller_litert_files_lose_what_they_say(file, largest, small, tmp_path):
    Interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    folder = export_litert(small, tmp_path / "export")
    whole, own = folder / "generator.tflite", folder / f"{file}.tflite"
    assert own.stat().st_size < 0.8 * whole.stat().st_size
    details = Interpreter(str(own)).get_tensor_details()
    kernels = {d["dtype"] for d in details if len(d["shape"]) == 4}
    assert (np.int8 if file == "generator_int8" else np.float16) in kernels
    said = json.loads((folder / "losses.json").read_text())[own.name]
    assert 0 < said["mean"] < said["largest"] < largest
    inputs = make_inputs(small)
    images, maps = small.generator(inputs["latents"], return_attention_scores=True)
    outputs = open_litert(own, "attention")(inputs)
    error = np.abs(outputs["images"] - images)
    np.testing.assert_allclose(error.max(), said["largest"], rtol=0.2)
    np.testing.assert_allclose(error.mean(), said["mean"], rtol=0.2)
    variations = [
        np.abs(outputs[name] - scores).sum(axis=-1).mean() / 2
        for name, scores in maps.items()
    ]
    np.testing.assert_allclose(max(variations), said["maps"], rtol=0.2)
    other = {"latents": np.asarray(small.latents(3, seed=5))}  # another batch size
    expected = small.generator(other["latents"])
    images = open_litert(own, "generator")(other)["images"]
    assert np.abs(images - expected).mean() < 2 * said["mean"]


@pytest.mark.parametrize("output", ["images", "attention_16x16"])
@pytest.mark.parametrize("format", [onnx, litert])
def test_other_images_or_maps_are_refused(format, output, small, tmp_path, monkeypatch):
    def prepare_others(sampler):
        inference = prepare_inference(sampler)
        others = dict(inference.expected["attention"])
        others[output] = others[output] + 0.001
        return inference._replace(expected={**inference.expected, "attention": others})

    monkeypatch.setattr(format, "prepare_inference", prepare_others)
    export = export_onnx if format is onnx else export_litert
    with pytest.raises(UserError, match="differs from the run's generator by 0.001"):
        export(small, tmp_path / "export")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["generator_float16.tflite", "generator_int8.tflite"])
def test_smaller_litert_files_have_bounds(file, small, tmp_path, monkeypatch):
    strict = litert._FILES[file]._replace(of_maps=1e-9)
    monkeypatch.setitem(litert._FILES, file, strict)
    with pytest.raises(UserError, match=f"attention of {file} differs"):
        export_litert(small, tmp_path / "export")
    strict = litert._FILES[file]._replace(of_images=1e-9)
    monkeypatch.setitem(litert._FILES, file, strict)
    with pytest.raises(UserError, match=f"generator of {file}, images, differs"):
        export_litert(small, tmp_path / "export")


def test_a_keras_file_with_other_images_is_refused(small, tmp_path, monkeypatch):
    other = NETWORKS["dcgan"]()
    other.build((None, other.latent_dim))
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: other)
    with pytest.raises(UserError, match="generator.keras differs"):
        export_keras(small, tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_what_is_exported_normalizes_no_kernel(small, monkeypatch):
    def fail(*_):
        pytest.fail("sigma was computed")

    inference = prepare_inference(small)
    monkeypatch.setattr(SpectralNormalization, "_power_iteration", fail)
    images = inference.functions["generator"](inference.inputs["latents"])["images"]
    expected = inference.expected["generator"]["images"]
    np.testing.assert_allclose(images, expected, atol=1e-5)
