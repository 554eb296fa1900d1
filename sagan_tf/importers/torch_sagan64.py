"""Checkpoints of the 64 px PyTorch SAGAN, heykeetae/Self-Attention-GAN."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sagan_tf.config import Config, save_config
from sagan_tf.errors import UserError
from sagan_tf.importers.state_dict import read_state_dict
from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.models import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.builders import build_sagan
from sagan_tf.models.sagan import SAGAN
from sagan_tf.training.checkpoints import Checkpoints

# Not needed here: each call computes `v` from `u`, and nothing counts batches.
_UNUSED = (".weight_v", ".num_batches_tracked")


def import_sagan64(
    workdir: str | Path,
    generator: str | Path | None = None,
    discriminator: str | Path | None = None,
    config: Config | None = None,
) -> int:
    """Creates a run from a checkpoint; writes nothing if it does not fit.

    Widths, latent length and image channels are inferred from the tensors. The EMA
    generator, which the checkpoint does not have, starts as a copy of the generator.
    The optimizers, and a network whose file is not given, start from their initial
    values. The run's step is the number that the file names begin with (`N_G.pth`, as
    the original names them), or 0.

    Args:
        workdir: Run directory to create.
        generator: Path of the generator's state dict, `.pth` or `.npz`, or None.
        discriminator: That of the discriminator. Either file alone is enough.
        config: `Config` whose data and training settings a resumed run uses. The
            default is the original's, on CelebA. Network settings come from the files.

    Returns:
        The step.

    Raises:
        UserError: if a file is missing or not such a checkpoint, with the names of all
            tensors that are missing, extra, of another shape or not finite; or if the
            run directory holds a run already.
    """
    if not (generator or discriminator):
        raise UserError("Give --generator=N_G.pth, --discriminator=N_D.pth or both")
    if (Path(workdir) / "config.json").exists():
        raise UserError(f"{workdir} already holds a run: give another --workdir")
    step = _step_of([path for path in (generator, discriminator) if path])
    states = _read_states(generator, discriminator)

    config = dataclasses.replace(
        config or Config(dataset="celeb_a", crop_size=160),
        **_infer_sizes(**states),
        image_size=64,
        architecture="dcgan",
        latent_distribution="normal",
        generator_attention_resolutions=(16, 32),
        discriminator_attention_resolutions=(8, 4),
        generator_spectral_normalization=True,
        discriminator_spectral_normalization=True,
        spectral_norm_axis="input",
        workdir=str(workdir),
    )
    keras.utils.set_random_seed(config.seed)
    model = build_sagan(config)
    if generator:
        _load(model.generator, states["generator"], generator)
        model.ema_generator.set_weights(model.generator.get_weights())
    if discriminator:
        _load(model.discriminator, states["discriminator"], discriminator)
    model.step.assign(step)

    Checkpoints(workdir, model).save()
    save_config(config)
    return step


def variables_by_name(network: Any) -> dict[str, Any]:
    """Returns a network's variables by their names in the original.

    Args:
        network: Built `DCGANGenerator` or `DCGANDiscriminator` with spectral
            normalization.

    Returns:
        Dict from PyTorch parameter and buffer names to Keras variables.
    """
    variables: dict[str, Any] = {}
    block = attention = 0
    for layer in network.stack:
        if isinstance(layer, SpectralNormalization):
            block += 1
            name = f"l{block}.0.module"
            variables[f"{name}.weight_bar"] = layer.kernel
            variables[f"{name}.weight_u"] = layer.u
            variables[f"{name}.bias"] = layer.layer.bias
        elif isinstance(layer, keras.layers.BatchNormalization):
            name = f"l{block}.1"
            variables[f"{name}.weight"] = layer.gamma
            variables[f"{name}.bias"] = layer.beta
            variables[f"{name}.running_mean"] = layer.moving_mean
            variables[f"{name}.running_var"] = layer.moving_variance
        elif isinstance(layer, SelfAttention):
            attention += 1
            for part in ("query", "key", "value"):
                convolution = getattr(layer, part)
                name = f"attn{attention}.{part}_conv"
                variables[f"{name}.weight"] = convolution.kernel
                variables[f"{name}.bias"] = convolution.bias
            variables[f"attn{attention}.gamma"] = layer.gamma
    last = getattr(network, "to_image", None) or network.to_logit
    variables["last.0.weight"], variables["last.0.bias"] = last.kernel, last.bias
    return variables


def _step_of(paths: Sequence[str | Path]) -> int:
    numbers = {
        int(match[1])
        for path in paths
        # No more digits than the counter of steps holds.
        if (match := re.match(r"(\d{1,18})_", Path(path).name))
    }
    if len(numbers) > 1:
        raise UserError(
            f"{paths[0]} and {paths[1]} are of different steps, judging by their "
            "names: give a pair of one step"
        )
    return max(numbers, default=0)


def _read_states(
    generator: str | Path | None, discriminator: str | Path | None
) -> dict[str, dict[str, np.ndarray]]:
    """Reads the state dicts and checks the names of their tensors."""
    # Names and numbers of axes are the same at any width.
    narrow = SAGAN(
        DCGANGenerator(width=8, name="generator"),
        DCGANDiscriminator(width=8, name="discriminator"),
    )
    states = {}
    for path, network in (
        (generator, narrow.generator),
        (discriminator, narrow.discriminator),
    ):
        if not path:
            continue
        state = {
            name: tensor
            for name, tensor in read_state_dict(path).items()
            if not name.endswith(_UNUSED)
        }
        variables = variables_by_name(network)
        _refuse(
            path,
            network,
            missing=[name for name in variables if name not in state],
            extra=[name for name in state if name not in variables],
            misshapen=[
                f"{name} {list(state[name].shape)}"
                for name, variable in variables.items()
                if name in state and state[name].ndim != len(_torch_shape(variable))
            ],
        )
        _check_width(path, network, state)
        states[network.name] = state
    return states


def _check_width(path: str | Path, network: Any, state: dict[str, np.ndarray]) -> None:
    """Refuses a file that lacks the largest kernel of the width it announces.

    Building networks of a width that one small tensor announces could exhaust the
    memory.
    """
    if network.name == "generator":
        name, width = "l2.0.module.weight_bar", len(state["last.0.weight"])
    else:
        name, width = "l4.0.module.weight_bar", len(state["l1.0.module.weight_bar"])
    shape, actual = [8 * width, 4 * width, 4, 4], list(state[name].shape)
    if actual != shape:
        _refuse(path, network, misshapen=[f"{name} {actual} instead of {shape}"])


def _infer_sizes(
    generator: dict[str, np.ndarray] | None = None,
    discriminator: dict[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Returns the fields of `Config` that hold the sizes of the networks."""
    sizes: dict[str, int] = {}
    if generator:
        sizes["latent_dim"] = len(generator["l1.0.module.weight_bar"])
        sizes["width"], sizes["channels"] = generator["last.0.weight"].shape[:2]
    if discriminator:
        width, channels = discriminator["l1.0.module.weight_bar"].shape[:2]
        if sizes.setdefault("channels", channels) != channels:
            raise UserError(
                f"The generator makes images of {sizes['channels']} channels, but the "
                f"discriminator takes {channels}: the files are not of one run"
            )
        if sizes.setdefault("width", width) != width:
            sizes["discriminator_width"] = width
    return sizes


def _load(network: Any, state: dict[str, np.ndarray], path: str | Path) -> None:
    """Assigns a state dict to a network, if all of it fits."""
    variables = variables_by_name(network)
    _refuse(
        path,
        network,
        misshapen=[
            f"{name} {list(state[name].shape)} instead of {_torch_shape(variable)}"
            for name, variable in variables.items()
            if list(state[name].shape) != _torch_shape(variable)
        ],
        not_finite=[name for name in state if not np.isfinite(state[name]).all()],
    )
    for name, variable in variables.items():
        tensor = state[name]
        if tensor.ndim == 4:
            # PyTorch has [out, in, height, width], and [in, out, height, width] for
            # transposed convolutions. Keras has both in reverse.
            tensor = tensor.transpose(2, 3, 1, 0)
        variable.assign(tensor.reshape(variable.shape))


def _torch_shape(variable: Any) -> list[int]:
    if len(variable.shape) == 4:
        height, width, *channels = variable.shape
        return [*reversed(channels), height, width]
    return list(variable.shape) or [1]


def _refuse(path: str | Path, network: Any, **problems: list[str]) -> None:
    """Raises `UserError` if there are problems; lists their tensors."""
    lists = [
        f"{problem.replace('_', ' ')}: {', '.join(names)}"
        for problem, names in problems.items()
        if names
    ]
    if lists:
        raise UserError(
            f"{path} is not a {network.name} of the 64 px PyTorch SAGAN; "
            f"{'; '.join(lists)}"
        )
