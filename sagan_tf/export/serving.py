from pathlib import Path

import tensorflow as tf

from sagan_tf.export.inference import make_inputs
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.files import replacing, write_text
from sagan_tf.packages import check_installed
from sagan_tf.sampling import Sampler

_BATCH_SIZES = (1, 8)  # of the warm-up requests
# The address is that in the container of the documentation's command.
_CONFIG = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""


def export_serving(sampler: Sampler, path: str | Path, name: str, version: int) -> Path:
    """Writes a generator as TensorFlow Serving takes it.

        PATH/models.config              what `--model_config_file` takes
        PATH/NAME/VERSION/              the SavedModel; see `export_saved_model`
        PATH/NAME/VERSION/assets.extra/tf_serving_warmup_requests

    Earlier versions stay. TensorFlow Serving serves the highest number.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write to.
        name: Name of the model, which is in its address.
        version: Integer, such as the step.

    Returns:
        The path.

    Raises:
        UserError: if a package is missing, or if the files cannot be written.
    """
    check_installed("An export for serving", "export", "tensorflow_serving")
    folder = Path(path)
    with replacing(folder / name / str(version)) as partial:
        export_saved_model(sampler, partial)
        extra = partial / "assets.extra"
        extra.mkdir()
        with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as file:
            for batch_size in _BATCH_SIZES:
                file.write(_make_request(sampler, name, batch_size))
    write_text(folder / "models.config", _CONFIG.format(name=name))
    return folder


def _make_request(sampler: Sampler, name: str, batch_size: int) -> bytes:
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = "serving_default"
    for input_name, value in make_inputs(sampler, batch_size).items():
        request.inputs[input_name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictLog(request=request)
    return prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()
