from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf.export.card import (
    find_source,
    make_card,
    name_extractor,
    public_scores,
    write_card,
)
from sagan_tf.export.inference import replacing_export
from sagan_tf.export.keras_file import export_keras
from sagan_tf.export.networks import write_networks
from sagan_tf.export.onnx import export_onnx
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.model_files import FILE
from sagan_tf.packages import check_installed

if TYPE_CHECKING:
    from sagan_tf.run import Run

_TASK = "unconditional-image-generation"
_OTHERS = """

Without it, `onnx/generator.onnx` runs with ONNX Runtime (`pip install onnxruntime`):

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("DIR/onnx/generator.onnx")
latents = np.random.default_rng(0).{draw}.astype(np.float32)
{labels}images = session.run(["images"], {inputs})[0]
pixels = np.round((images + 1) * 127.5).astype(np.uint8)  # {shape}
```

`saved_model/` runs with TensorFlow and has the same inputs; `keras/generator.keras` is
for Keras with any backend, and this package's layers."""
# Code by the distribution of the latents. In a card, clipping replaces redrawing.
_DRAW = {
    "normal": "standard_normal((16, {}))",
    "uniform": "uniform(-1, 1, (16, {}))",
    "truncated": "standard_normal((16, {})).clip(-2, 2)",
}
_LABELS = "labels = np.arange(16, dtype=np.int32) % {num_classes}\n"


def export_hub(run: "Run", path: str | Path) -> Path:
    """Writes a folder that `hf upload NAME PATH` publishes on the Hugging Face Hub.

    It has the files of `export_networks`, the model card with metadata and scores, and
    `keras/`, `saved_model/` and `onnx/` as `export_keras`, `export_saved_model` and
    `export_onnx` write them.

    Args:
        run: `Run`.
        path: Folder to write. An earlier export there is replaced.

    Returns:
        The path.

    Raises:
        UserError: if a package is missing, if it cannot be written, or if an export
            gives other images. An earlier export stays as it is then.
    """
    check_installed("An export for the Hub", "export", "huggingface_hub")
    from huggingface_hub import ModelCard

    with replacing_export(path, FILE) as partial:
        export_keras(run.sampler, partial / "keras")
        export_saved_model(run.sampler, partial / "saved_model")
        export_onnx(run.sampler, partial / "onnx")
        write_networks(run, partial)
        metadata = _describe(run).to_yaml()
        text = make_card(run, _describe_others(run))
        card = ModelCard(f"---\n{metadata}\n---\n\n{text}")
        write_card(partial, str(card), Path(path))
    return Path(path)


def _describe_others(run: "Run") -> str:
    config, num_classes = run.config, run.sampler.num_classes
    inputs = '{"latents": latents, "labels": labels}'
    return _OTHERS.format(
        draw=_DRAW[config.latent_distribution].format(run.generator.latent_dim),
        labels=_LABELS.format(num_classes=num_classes) if num_classes else "",
        inputs=inputs if num_classes else '{"latents": latents}',
        shape=[16, config.image_size, config.image_size, config.channels],
    )


def _describe(run: "Run") -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    config, source = run.config, find_source(run.config)
    results = [
        EvalResult(
            task_type=_TASK,
            dataset_type=source.hub or config.dataset,
            dataset_name=config.dataset,
            metric_type=metric,
            metric_name=f"{metric} by {name_extractor(record['protocol'])}",
            metric_value=score,
        )
        for record in public_scores(run)
        for metric, score in record["scores"].items()
    ]
    return ModelCardData(
        model_name=run.name,
        # Not "keras": the Hub would say how to load a file of Keras' own.
        library_name="sagan_tf",
        pipeline_tag=_TASK,
        tags=["gan", "sagan", "self-attention", "image-generation", "onnx"],
        datasets=[source.hub] if source.hub else None,
        license=source.license,
        license_name="non-commercial" if source.terms else None,
        license_link=source.terms,
        eval_results=results or None,
    )
