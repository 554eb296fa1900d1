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
    Runtime,
    check_equal,
    prepare_inference,
    replacing_export,
)
from sagan_tf.packages import check_installed
from sagan_tf.sampling import Sampler


class _File(NamedTuple):
    """The type of a file's weights, and the difference to the run that is allowed."""

    weights: Any
    bound: float
    reduce: Callable = np.mean


_FILES = {
    "generator.tflite": _File(None, LARGEST_DIFFERENCE, np.max),
    "generator_float16.tflite": _File(tf.float16, 0.002),
    "generator_int8.tflite": _File(tf.int8, 0.02),
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
    the other two may be 0.002 and 0.02. `losses.json` has both of each one's images, in
    `[-1, 1]`. An earlier export at `path` is replaced.

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
        for file_name, (weights, bound, reduce) in _FILES.items():
            converter = tf.lite.TFLiteConverter.from_saved_model(
                folder, signature_keys=list(inference.functions)
            )
            if weights is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if weights == tf.float16:
                converter.target_spec.supported_types = [weights]
            file = partial / file_name
            file.write_bytes(converter.convert())
            for name, expected in inference.expected.items():
                outputs = open_litert(file, name)(inference.inputs)
                check_equal(f"{name} of {file_name}", outputs, expected, bound, reduce)
                if name == "generator":
                    error = np.abs(outputs["images"] - expected["images"])
            losses[file_name] = {
                "largest": float(error.max()),
                "mean": float(error.mean()),
            }
        text = json.dumps(losses, indent=2) + "\n"
        (partial / "losses.json").write_text(text, encoding="utf-8")
    return Path(path)


def open_litert(path: str | Path, signature: str) -> Runtime:
    """Opens a signature of a file with LiteRT, which then uses all cores."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner(signature)
    return lambda inputs: runner(**inputs)
