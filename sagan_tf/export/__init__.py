"""A run's generator for other programs: one file a format."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sagan_tf.errors import UserError
from sagan_tf.export.hub import export_hub
from sagan_tf.export.keras_file import export_keras
from sagan_tf.export.litert import export_litert
from sagan_tf.export.networks import export_networks
from sagan_tf.export.onnx import export_onnx
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.export.serving import export_serving

if TYPE_CHECKING:
    from sagan_tf.run import Run


class Format(NamedTuple):
    """An export format.

    Attributes:
        title: What to call it in messages.
        export: Function of a `Run` and a folder, which writes it there and returns the
            folder.
    """

    title: str
    export: Callable[["Run", Path], Path]


def _export_serving(run: "Run", path: Path) -> Path:
    return export_serving(run.sampler, path, run.name, run.step)


def _of_sampler(export: Callable[..., Path]) -> Callable[["Run", Path], Path]:
    return lambda run, path: export(run.sampler, path)


FORMATS = {
    "saved_model": Format("SavedModel", _of_sampler(export_saved_model)),
    "serving": Format("Model for TensorFlow Serving", _export_serving),
    "onnx": Format("ONNX files", _of_sampler(export_onnx)),
    "litert": Format("LiteRT files", _of_sampler(export_litert)),
    "keras": Format("Keras file", _of_sampler(export_keras)),
    "networks": Format("Networks", export_networks),
    "hub": Format("Folder for the Hugging Face Hub", export_hub),
}


def check_format(name: str) -> None:
    """Raises a `UserError` if there is no such format."""
    if name not in FORMATS:
        raise UserError(
            f"There is no export format {name!r}. There are {', '.join(FORMATS)}"
        )


__all__ = [
    "FORMATS",
    "check_format",
    "export_hub",
    "export_keras",
    "export_litert",
    "export_networks",
    "export_onnx",
    "export_saved_model",
    "export_serving",
]
