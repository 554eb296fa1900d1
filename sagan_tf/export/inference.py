"""The generator that other runtimes get, and how their images are compared with it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sagan_tf.errors import UserError
from sagan_tf.files import replacing
from sagan_tf.layers import fold_all
from sagan_tf.models.network import Generator
from sagan_tf.sampling import Sampler
from sagan_tf.text import format_names
from sagan_tf.types import Tensor

LARGEST_DIFFERENCE = 1e-4  # of float32 images in [-1, 1], and of attention scores

_BY_PROGRAMS = {".DS_Store", ".cache"}  # written unasked: by macOS, by `hf download`

Outputs = Mapping[str, Any]
Runtime = Callable[[dict[str, np.ndarray]], Outputs]  # of inputs by name


class Inference(NamedTuple):
    """A generator for another runtime, with images to compare it by.

    Attributes:
        functions: Dict of what to export: `"generator"` computes `images`; with
            attention layers, `"attention"` computes the maps too, such as
            `attention_16x16`. Both take latents and, with classes, labels. All is
            float32, and every kernel is divided by its sigma.
        specs: List of `tf.TensorSpec` of these inputs.
        inputs: Dict of a few inputs.
        expected: Dict of what the run's own generator computes of these, in float32, by
            function.
    """

    functions: dict[str, Callable[..., Outputs]]
    specs: list[tf.TensorSpec]
    inputs: dict[str, np.ndarray]
    expected: dict[str, Outputs]


def copy_in_float32(sampler: Sampler) -> Sampler:
    """Returns a sampler of a copy of the generator, which computes in float32.

    Half precision is for training: its images differ between machines.
    """
    own = sampler.generator
    generator = type(own).from_config({**own.get_config(), "dtype": "float32"})
    generator.build((None, generator.latent_dim))
    generator.set_weights(own.get_weights())
    return Sampler(generator, sampler.latent_distribution)


def ensure_float32(sampler: Sampler) -> Sampler:
    """Returns a sampler that computes in float32: a copy, if this one does not."""
    is_float32 = sampler.generator.compute_dtype == "float32"
    return sampler if is_float32 else copy_in_float32(sampler)


def prepare_inference(sampler: Sampler) -> Inference:
    """Copies the generator of a sampler for inference."""
    generator = copy_in_float32(sampler).generator
    functions, inputs = make_functions(generator), make_inputs(sampler)
    # On the CPU, like the other runtimes: a GPU may round products to TF32.
    with tf.device("CPU"):
        expected = {
            name: function(*inputs.values()) for name, function in functions.items()
        }
    fold_all(generator)
    specs = [
        tf.TensorSpec([None, *value.shape[1:]], value.dtype, name)
        for name, value in inputs.items()
    ]
    return Inference(functions, specs, inputs, expected)


@contextlib.contextmanager
def replacing_export(
    path: str | Path, marker: str, failures: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """Gives a new folder that replaces an earlier export at the end, and nothing else.

    Files of the earlier export that the new one does not have are taken for somebody's
    own, such as a `.git`. See `sagan_tf.files.replacing`.

    Args:
        path: Folder.
        marker: Name of a file that every export of this format has.
        failures: Exceptions that mean that writing failed.

    Raises:
        UserError: if the folder has other files than such an export, or writing fails.
    """
    path = Path(path)
    is_export = (path / marker).exists() and not (path / "checkpoints").exists()
    if path.is_dir() and any(path.iterdir()) and not is_export:
        raise UserError(
            f"{path} holds other files than such an export, which would replace them. "
            "Give another folder (--output)"
        )
    with replacing(path, failures) as partial:
        partial.mkdir()
        yield partial
        others = _list_files(path) - _list_files(partial)
        if others:
            raise UserError(
                f"{path} holds other files than such an export, which would replace "
                f"them: {format_names(sorted(others))}. Move "
                "them, or give another folder (--output)"
            )


def _list_files(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not _BY_PROGRAMS & set(path.parts)}


def make_inputs(sampler: Sampler, count: int = 8) -> dict[str, np.ndarray]:
    """Returns latents and, with classes, labels of a few images."""
    inputs = {"latents": np.asarray(sampler.latents(count))}
    if sampler.num_classes:
        inputs["labels"] = np.asarray(sampler.labels(count))
    return inputs


def make_functions(generator: Generator) -> dict[str, Callable[..., Outputs]]:
    """Returns the functions of `Inference`."""

    def generate(*inputs: Tensor) -> Outputs:
        return {"images": generator(*inputs, training=False)}

    def attend(*inputs: Tensor) -> Outputs:
        images, maps = generator(*inputs, training=False, return_attention_scores=True)
        return {"images": images, **maps}

    if not generator.attention_resolutions:
        return {"generator": generate}
    return {"generator": generate, "attention": attend}


def check_equal(
    what: str,
    outputs: Outputs,
    expected: Outputs,
    bound: float = LARGEST_DIFFERENCE,
    reduce: Callable = np.max,
) -> float:
    """Returns the largest difference of another runtime's images and maps.

    Args:
        what: What was exported, for the message.
        outputs: Dict of arrays that the other runtime computed.
        expected: Dict of arrays of the run's generator.
        bound: Float, the largest difference allowed.
        reduce: `np.max`, or `np.mean` for the mean difference of each output.

    Raises:
        UserError: if the difference is larger, or the outputs are others.
    """
    found, right = _describe(outputs), _describe(expected)
    if found != right:
        raise UserError(
            f"{what} has the outputs {found} instead of {right}. Nothing was exported"
        )
    difference = max(
        float(reduce(np.abs(np.float32(outputs[name]) - np.float32(own))))
        for name, own in expected.items()
    )
    # Not "difference > bound": NaN must not pass.
    if not difference <= bound:
        raise UserError(
            f"{what} differs from the run's generator by {difference:.2g}, and "
            f"{bound:g} is allowed. Nothing was exported"
        )
    return difference


def _describe(outputs: Outputs) -> str:
    return ", ".join(
        f"{name} {list(np.shape(outputs[name]))}" for name in sorted(outputs)
    )
