import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.export.inference import (
    LARGEST_DIFFERENCE,
    Inference,
    Runtime,
    check_equal,
    prepare_inference,
    replacing_export,
)
from sagan_tf.packages import check_installed
from sagan_tf.sampling import Sampler


def _total_variation(difference: np.ndarray) -> float:
    """Reduces the difference of two maps `[..., N, M]`: 1 if they share nothing."""
    return float(difference.sum(axis=-1).mean() / 2)


class _File(NamedTuple):
    """The type of a file's weights, and the differences to the run that are allowed."""

    weights: Any
    of_images: float
    of_maps: float
    reduce_images: Callable = np.mean
    reduce_maps: Callable = _total_variation


_FILES = {
    "generator.tflite": _File(
        None, LARGEST_DIFFERENCE, LARGEST_DIFFERENCE, np.max, np.max
    ),
    "generator_float16.tflite": _File(tf.float16, 0.002, 0.005),
    "generator_int8.tflite": _File(tf.int8, 0.02, 0.1),
}


def export_litert(sampler: Sampler, path: str | Path) -> Path:
    """Writes a generator for LiteRT, and compares its images with its own.

    Each file has the signature `generator` and, if there is attention, `attention`,
    with the inputs and outputs of `export_onnx`.

    - `generator.tflite`: float32.
    - `generator_float16.tflite`: weights in float16, half of the size.
    - `generator_int8.tflite`: kernels in int8, a quarter of the size; activations are
      float32.

    The float32 file is compared by its largest difference, 1e-4. The mean difference of
    the images of the other two may be 0.002 and 0.02, and the mean total variation
    distance of their attention scores 0.005 and 0.1. `losses.json` has what was found,
    for images in `[-1, 1]`. An earlier export at `path` is replaced.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write.

    Returns:
        The path.

    Raises:
        UserError: if a package is missing, if the files cannot be written, or if LiteRT
            computes other images. An earlier export stays as it is then.
    """
    check_installed("LiteRT", "export", "ai_edge_litert")
    inference = prepare_inference(sampler)
    losses = {}
    with (
        replacing_export(path, "generator.tflite") as partial,
        tempfile.TemporaryDirectory() as folder,
    ):
        archive = keras.export.ExportArchive()
        for name, function in inference.functions.items():
            archive.add_endpoint(name, function, inference.specs)
        archive.write_out(folder, verbose=False)
        for file_name, design in _FILES.items():
            converter = tf.lite.TFLiteConverter.from_saved_model(
                folder, signature_keys=list(inference.functions)
            )
            if design.weights is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if design.weights == tf.float16:
                converter.target_spec.supported_types = [design.weights]
            file = partial / file_name
            file.write_bytes(converter.convert())
            losses[file_name] = _compare(file, design, inference)
        text = json.dumps(losses, indent=2) + "\n"
        (partial / "losses.json").write_text(text, encoding="utf-8")
    return Path(path)


def _compare(file: Path, design: _File, inference: Inference) -> dict[str, float]:
    """Compares what a file computes with the run, and returns the differences."""
    differences: dict[str, float] = {}
    for name, expected in inference.expected.items():
        outputs = dict(open_litert(file, name)(inference.inputs))
        what = f"{name} of {file.name}"
        images, own = outputs.pop("images"), expected["images"]
        check_equal(
            f"{what}, images,",
            {"images": images},
            {"images": own},
            bound=design.of_images,
            reduce=design.reduce_images,
        )
        error = np.abs(images - own)
        for key, value in (("largest", error.max()), ("mean", error.mean())):
            differences[key] = max(differences.get(key, 0.0), float(value))
        maps = {key: value for key, value in expected.items() if key != "images"}
        if maps:
            check_equal(what, outputs, maps, design.of_maps, design.reduce_maps)
            differences["maps"] = max(
                _total_variation(np.abs(outputs[key] - own))
                for key, own in maps.items()
            )
    return differences


def open_litert(path: str | Path, signature: str) -> Runtime:
    """Opens a signature of a file with LiteRT, which may use all cores."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner(signature)
    return lambda inputs: runner(**inputs)
