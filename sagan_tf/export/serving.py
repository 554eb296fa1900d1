import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from sagan_tf.export.inference import make_inputs, replacing_export
from sagan_tf.export.saved_model import export_saved_model, make_controls
from sagan_tf.files import write_text
from sagan_tf.packages import check_installed
from sagan_tf.sampling import Sampler

_BATCH_SIZES = (1, 8)  # of the warm-up requests
# The address is that in the container of the documentation's command.
_CONFIG = """\
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
"""


def export_serving(sampler: Sampler, path: str | Path, name: str, version: int) -> Path:
    """Writes a generator as TensorFlow Serving takes it.

        PATH/models.config              what `--model_config_file` takes: all models
        PATH/NAME/VERSION/              the SavedModel; see `export_saved_model`
        PATH/NAME/VERSION/assets.extra/tf_serving_warmup_requests

    Earlier versions and other models stay; the same version is replaced. TensorFlow
    Serving serves the highest number.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write to.
        name: Name of the model, which is in its address; what is neither letter, digit,
            `.`, `_` nor `-` becomes `-`.
        version: Integer, such as the step.

    Returns:
        The path.

    Raises:
        UserError: if a package is missing, if the files cannot be written, or if the
            version's folder has other files, which stay.
    """
    check_installed("An export for serving", "export", "tensorflow_serving")
    folder, name = Path(path), re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
    try:
        with replacing_export(
            folder / name / str(version), "saved_model.pb"
        ) as partial:
            export_saved_model(sampler, partial)
            _write_warm_up(sampler, name, partial / "assets.extra")
    finally:
        with contextlib.suppress(OSError):  # it holds a version, as it should
            (folder / name).rmdir()
    versions = [file.parent for file in folder.glob("*/*/saved_model.pb")]
    models = {path.parent.name for path in versions if path.name.isdecimal()}
    configs = "".join(_CONFIG.format(name=model) for model in sorted(models))
    write_text(folder / "models.config", f"model_config_list {{\n{configs}}}\n")
    return folder


def _write_warm_up(sampler: Sampler, name: str, folder: Path) -> None:
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as file:
        for batch_size in _BATCH_SIZES:
            inputs = make_inputs(sampler, batch_size)
            controls = make_controls(sampler, batch_size)
            file.write(_make_request(name, "serving_default", inputs))
            file.write(_make_request(name, "attention", inputs))
            file.write(_make_request(name, "sample", controls))


def _make_request(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for input_name, value in inputs.items():
        request.inputs[input_name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictLog(request=request)
    return prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()
