"""The exports of a generator by their own runtimes: size, difference, images a second.

    python benchmarks/exports.py --workdirs=pretrained/mnist_conditional,runs/mine

Prints a table of each run when it is measured, and one JSON line of all at the end.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdirs", required=True, help="runs, joined by commas")
    parser.add_argument("--batch_size", type=measuring.positive, default=64)
    parser.add_argument("--repeats", type=measuring.positive, default=20)
    arguments = parser.parse_args()
    start_tensorflow()
    rows = []
    for workdir in arguments.workdirs.split(","):
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(
                workdir, Path(folder), arguments.batch_size, arguments.repeats
            )
        print_table(measured)
        rows += measured
    measuring.print_result(batch_size=arguments.batch_size, rows=rows)


def measure(workdir, folder, batch_size, repeats):
    """Returns a row for each export of a run's generator."""
    from sagan_tf import load_run
    from sagan_tf.export.inference import make_inputs

    sampler = load_run(workdir).sampler
    inputs = make_inputs(sampler, batch_size)
    runtimes = {"Keras": (None, own_runtime(sampler.generator))}
    runtimes |= export(sampler, folder)
    expected = np.asarray(runtimes["Keras"][1](inputs)["images"])
    seconds = measuring.alternate(
        {
            format: functools.partial(run, inputs)
            for format, (_, run) in runtimes.items()
        },
        repeats,
    )
    return [
        {
            "workdir": workdir,
            "format": format,
            "megabytes": round(size_of(path) / 1e6, 2) if path else None,
            "largest_difference": float(np.abs(run(inputs)["images"] - expected).max()),
            "images_per_second": round(batch_size / np.median(seconds[format])),
        }
        for format, (path, run) in runtimes.items()
    ]


def print_table(rows):
    """Prints rows of `measure`: their keys, then a line for each row."""
    print("  ".join(rows[0]))
    for row in rows:
        print("  ".join(str(value) for value in row.values()), flush=True)


def own_runtime(generator):
    """Returns what runs a Keras model: a traced function of inputs by name."""
    import tensorflow as tf

    traced = tf.function(
        lambda *inputs: generator(*inputs, training=False), autograph=False
    )
    return lambda inputs: {"images": traced(*inputs.values()).numpy()}


def export(sampler, folder):
    """Exports to all formats; returns each one's path and what runs it."""
    import keras
    import tensorflow as tf

    from sagan_tf.export import (
        export_keras,
        export_litert,
        export_onnx,
        export_saved_model,
    )
    from sagan_tf.export.litert import open_litert
    from sagan_tf.export.onnx import open_onnx

    saved = export_saved_model(sampler, folder / "saved_model")
    serve = tf.saved_model.load(saved).signatures["serving_default"]
    file = export_keras(sampler, folder / "keras") / "generator.keras"
    onnx = export_onnx(sampler, folder / "onnx") / "generator.onnx"
    litert = export_litert(sampler, folder / "litert")

    def run_saved_model(inputs):
        inputs = {name: tf.constant(value) for name, value in inputs.items()}
        return {"images": serve(**inputs)["images"].numpy()}

    return {
        "SavedModel": (saved, run_saved_model),
        ".keras": (file, own_runtime(keras.saving.load_model(file, compile=False))),
        "ONNX": (onnx, open_onnx(onnx)),
        **{
            f"LiteRT {weights}": (
                litert / file_name,
                open_litert(litert / file_name, "generator"),
            )
            for weights, file_name in (
                ("float32", "generator.tflite"),
                ("float16", "generator_float16.tflite"),
                ("int8", "generator_int8.tflite"),
            )
        },
    }


def size_of(path):
    """Returns the bytes of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    measuring.run_main(main)
