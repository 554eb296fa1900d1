"""Exports of each network, run by their own runtimes."""

import json

import keras
import numpy as np
import pytest

from sagan_tf import Sampler
from sagan_tf.export.inference import make_inputs
from sagan_tf.export.litert import export_litert, open_litert
from sagan_tf.export.onnx import export_onnx, open_onnx
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
def test_smaller_litert_files_lose_what_they_say(file, largest, tmp_path):
    pytest.importorskip("ai_edge_litert")
    keras.utils.set_random_seed(0)
    sampler = Sampler(NETWORKS["dcgan"]())
    sampler.take_standing_statistics(2, 16)
    folder = export_litert(sampler, tmp_path / "export")
    whole, own = folder / "generator.tflite", folder / f"{file}.tflite"
    assert own.stat().st_size < 0.8 * whole.stat().st_size
    said = json.loads((folder / "losses.json").read_text())[own.name]
    assert 0 < said["mean"] < said["largest"] < largest
    inputs = make_inputs(sampler)
    images, maps = sampler.generator(inputs["latents"], return_attention_scores=True)
    outputs = open_litert(own, "attention")(inputs)
    error = np.abs(outputs["images"] - images)
    np.testing.assert_allclose(error.max(), said["largest"], rtol=0.2)
    np.testing.assert_allclose(error.mean(), said["mean"], rtol=0.2)
    variations = [
        np.abs(outputs[name] - scores).sum(axis=-1).mean() / 2
        for name, scores in maps.items()
    ]
    np.testing.assert_allclose(max(variations), said["maps"], rtol=0.2)
    other = {"latents": np.asarray(sampler.latents(3, seed=5))}  # another batch size
    expected = sampler.generator(other["latents"])
    images = open_litert(own, "generator")(other)["images"]
    assert np.abs(images - expected).mean() < 2 * said["mean"]
