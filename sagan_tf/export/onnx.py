from pathlib import Path

import tensorflow as tf

from sagan_tf.export.inference import (
    Runtime,
    check_equal,
    prepare_inference,
    replacing_export,
)
from sagan_tf.packages import check_installed
from sagan_tf.sampling import Sampler

_OPSET = 17


def export_onnx(sampler: Sampler, path: str | Path) -> Path:
    """Writes a generator as ONNX files, and compares their images with its own.

    - `generator.onnx`: `latents` float32 `[batch, latent_dim]` and, with classes,
      `labels` int32 `[batch]`, to `images` float32 `[batch, S, S, C]` in `[-1, 1]`.
    - `attention.onnx`, if the generator has attention: the same inputs to `images` and
      one map per block, such as `attention_16x16` float32 `[batch, N, M]`.

    All is float32, and kernels are divided by their sigma. Labels are not checked: one
    that is no class gives an undefined image. An earlier export at `path` is replaced.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write.

    Returns:
        The path.

    Raises:
        UserError: if a package is missing, if the files cannot be written, or if ONNX
            Runtime computes other images. An earlier export stays as it is then.
    """
    check_installed("ONNX", "export", "tf2onnx", "onnx", "onnxruntime")
    import onnx
    import tf2onnx

    inference = prepare_inference(sampler)
    with replacing_export(path, "generator.onnx") as partial:
        for name, function in inference.functions.items():
            traced = tf.function(function, inference.specs, autograph=False)
            model, _ = tf2onnx.convert.from_function(
                traced, inference.specs, opset=_OPSET
            )
            for value in (*model.graph.input, *model.graph.output):
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
            onnx.checker.check_model(model)
            file = partial / f"{name}.onnx"
            onnx.save(model, file)
            outputs = open_onnx(file)(inference.inputs)
            check_equal(file.name, outputs, inference.expected[name])
    return Path(path)


def open_onnx(path: str | Path) -> Runtime:
    """Opens an ONNX file with ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))
