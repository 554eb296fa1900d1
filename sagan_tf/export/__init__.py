"""A run's generator for other programs: one file a format."""

from sagan_tf.errors import UserError
from sagan_tf.export.hub import export_hub
from sagan_tf.export.keras_file import export_keras
from sagan_tf.export.litert import export_litert
from sagan_tf.export.networks import export_networks
from sagan_tf.export.onnx import export_onnx
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.export.serving import export_serving

# What a format is called in messages.
FORMATS = {
    "saved_model": "SavedModel",
    "serving": "Model for TensorFlow Serving",
    "onnx": "ONNX files",
    "litert": "LiteRT files",
    "keras": "Keras file",
    "networks": "Networks",
    "hub": "Folder for the Hugging Face Hub",
}


def check_format(name: str) -> None:
    """Raises a `UserError` if there is no such format."""
    if name not in FORMATS:
        raise UserError(
            f"There is no export format {name!r}. There are {', '.join(FORMATS)}"
        )


__all__ = [
    "check_format",
    "FORMATS",
    "export_hub",
    "export_keras",
    "export_litert",
    "export_networks",
    "export_onnx",
    "export_saved_model",
    "export_serving",
]
