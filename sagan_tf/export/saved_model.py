import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.errors import UserError
from sagan_tf.export.inference import (
    check_equal,
    ensure_float32,
    make_functions,
    make_inputs,
    replacing_export,
)
from sagan_tf.sampling import Sampler, check_labels, to_uint8
from sagan_tf.types import Tensor

_LARGEST_DIFFERENCE = 1  # of the pixels of `sample`, which may be rounded up or down


def export_saved_model(sampler: Sampler, path: str | Path, check: bool = True) -> Path:
    """Writes a generator as a SavedModel with named signatures.

    - `serving_default`(latents float32 `[B, latent_dim]`) returns `images` float32
      `[B, S, S, C]` in `[-1, 1]`.
    - `sample`(num_images int32 `[]`, seed int32 `[]`, truncation float32 `[]`) returns
      `images` uint8, those of `Sampler.generate`.
    - `attention`(latents) returns `images` and one map per block, such as
      `attention_16x16` float32 `[B, N, M]`.

    With classes, the first and the last also take `labels` int32 `[B]`, and `sample`
    takes `label` int32 `[]`, -1 for random ones.

    `tf.saved_model.load` and TensorFlow Serving load it without this package and
    without Keras. It computes in float32, also if the sampler does not. An earlier
    export at `path` is replaced.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write.
        check: Boolean, whether to compare its images with the generator's own, in a
            process with TensorFlow alone. It takes a few seconds.

    Returns:
        The path.

    Raises:
        UserError: if it cannot be written, or gives other images. An earlier export
            stays as it is then.
    """
    sampler = ensure_float32(sampler)
    generator, num_classes = sampler.generator, sampler.num_classes
    inputs = [tf.TensorSpec([None, generator.latent_dim], tf.float32, "latents")]
    controls = [
        tf.TensorSpec([], tf.int32, "num_images"),
        tf.TensorSpec([], tf.int32, "seed"),
        tf.TensorSpec([], tf.float32, "truncation"),
    ]
    if num_classes:
        inputs.append(tf.TensorSpec([None], tf.int32, "labels"))
        controls.append(tf.TensorSpec([], tf.int32, "label"))

    def serve(latents: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        labels = tuple(check_labels(each, num_classes) for each in labels)
        return {"images": generator(latents, *labels, training=False)}

    def sample(
        num_images: Tensor, seed: Tensor, truncation: Tensor, *label: Tensor
    ) -> dict[str, Tensor]:
        inputs = [sampler.latents(num_images, seed, truncation)]
        for each in label:
            each = check_labels(each, num_classes, lowest=-1)
            random = sampler.labels(num_images, seed)
            inputs.append(tf.where(each < 0, random, each))
        return {"images": to_uint8(generator(*inputs, training=False))}

    def attention(latents: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        labels = tuple(check_labels(each, num_classes) for each in labels)
        images, scores = generator(
            latents, *labels, training=False, return_attention_scores=True
        )
        return {"images": images, **scores}

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", serve, inputs)
    archive.add_endpoint("sample", sample, controls)
    archive.add_endpoint("attention", attention, inputs)

    with replacing_export(path, "saved_model.pb", (tf.errors.OpError,)) as partial:
        archive.write_out(str(partial), verbose=False)
        if check:
            _check(sampler, partial)
    return Path(path)


def _check(sampler: Sampler, path: Path) -> None:
    inputs = make_inputs(sampler)
    for name, function in make_functions(sampler.generator).items():
        signature = "serving_default" if name == "generator" else name
        outputs = run_saved_model(path, signature, inputs)
        with tf.device("CPU"):
            expected = function(*inputs.values())
        check_equal(f"{signature} of the SavedModel", outputs, expected)
    controls = make_controls(sampler)
    outputs = run_saved_model(path, "sample", controls)
    with tf.device("CPU"):
        images = {"images": sampler.generate(int(controls["num_images"]))}
    check_equal("sample of the SavedModel", outputs, images, _LARGEST_DIFFERENCE)


def make_controls(sampler: Sampler, count: int = 8) -> dict[str, np.ndarray]:
    """Returns the inputs of the signature `sample` for the first images of seed 0."""
    controls = {
        "num_images": np.int32(count),
        "seed": np.int32(0),
        "truncation": np.float32(1),
    }
    if sampler.num_classes:
        controls["label"] = np.int32(-1)
    return {name: np.asarray(value) for name, value in controls.items()}


def run_saved_model(
    path: Path, signature: str, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs a signature by TensorFlow's `saved_model_cli`; returns its outputs by name.

    Raises:
        UserError: if it fails there.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, outputs = Path(folder, "inputs.npz"), Path(folder, "outputs")
        np.savez(file, **inputs)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
        command += ["run", f"--dir={path}", "--tag_set=serve"]
        command += [f"--signature_def={signature}", f"--outdir={outputs}"]
        command.append("--inputs=" + ";".join(f"{n}={file}[{n}]" for n in inputs))
        # On the CPU: this process may hold the memory of the GPUs.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UserError(f"saved_model_cli cannot run it: {lines[-1][:300]}")
        return {own.stem: np.load(own) for own in outputs.glob("*.npy")}
