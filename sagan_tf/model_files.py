"""Networks in one small file: saved, loaded, and those of `pretrained/`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sagan_tf.arrays import load_arrays
from sagan_tf.errors import UserError
from sagan_tf.files import find_bundled, replacing
from sagan_tf.text import suggest

if TYPE_CHECKING:
    from sagan_tf.models.sagan import SAGAN
    from sagan_tf.run import Run

FILE = "networks.npz"
_COMPARED = 256  # images
_LEAST_HALVED = 2000  # numbers: halving smaller arrays saves little
# The names in the file, and the attributes of `SAGAN`. The file has no other generator
# than the EMA generator.
_NETWORKS = {"generator": "ema_generator", "discriminator": "discriminator"}


def load_pretrained(name: str) -> "Run":
    """Loads networks that come with this package.

    Args:
        name: Their name, such as `"digits"`: a folder of `pretrained/`.

    Returns:
        `Run`. What its methods write goes to `runs/pretrained/NAME`.

    Raises:
        UserError: if there are none of that name.

    Example:

    ```python
    images = load_pretrained("digits").generate(16)  # uint8 [16, 32, 32, 1]
    ```
    """
    from sagan_tf.run import load_run

    return load_run(pretrained_workdir(name))


def pretrained_workdir(name: str) -> str:
    """Returns what `load_run` takes for pretrained networks.

    Raises:
        UserError: if there are none of that name.
    """
    if name not in pretrained_names():
        hint = suggest(name.removeprefix("pretrained/"), pretrained_names())
        raise UserError(
            f"There are no pretrained networks {name!r}. {hint}There are "
            f"{', '.join(pretrained_names())}"
        )
    return str(_pretrained_dir() / name)


def pretrained_names() -> list[str]:
    """Returns the names that `load_pretrained` takes, sorted."""
    return sorted(path.parent.name for path in _pretrained_dir().glob(f"*/{FILE}"))


def find_pretrained(workdir: str | Path) -> Path | None:
    """Returns the folder of pretrained networks that a run directory's path names.

    Args:
        workdir: `pretrained/NAME`, in whatever directory, or another path.

    Returns:
        The folder, or None if there is another run in `workdir`, or none.
    """
    path, folder = Path(workdir), _pretrained_dir()
    if path.exists():
        is_own = path.resolve().parent == folder.resolve() and (path / FILE).exists()
        return path if is_own else None
    if path.parts[:-1] == ("pretrained",) and path.name in pretrained_names():
        return folder / path.name
    return None


def holds_networks(workdir: str | Path) -> bool:
    """Returns whether a path is that of exported networks, not of a run."""
    return find_pretrained(workdir) is not None or (Path(workdir) / FILE).exists()


def check_has_logs(workdir: str | Path) -> None:
    """Raises a `UserError` if a path is that of exported networks."""
    if holds_networks(workdir):
        raise UserError(
            f"{workdir} holds networks without the logs and grids of their training, "
            "which this command needs. Give the run itself (--workdir)"
        )


def _pretrained_dir() -> Path:
    """Returns `pretrained/`, or where it was installed."""
    return find_bundled("pretrained")


def save_networks(run: "Run", path: str | Path) -> Path:
    """Writes the EMA generator and the discriminator of a run to one file.

    Large variables are stored as float16. As many of the generator's first ones stay as
    they are as it takes to change no pixel of 256 images by more than 1 of 255.

    Args:
        run: `Run`.
        path: `networks.npz`. `load_run` reads a folder with this file and the run's
            `config.json`.

    Returns:
        The path.

    Raises:
        UserError: if it cannot be written.
    """
    arrays = {name: variable.numpy() for name, variable in _variables(run.model)}
    halves = {name: _to_half(array) for name, array in arrays.items()}
    own = [
        name
        for name, half in halves.items()
        if name.startswith("generator/") and half.dtype != arrays[name].dtype
    ]
    changes_pixels = _compare_pixels(run)

    def is_enough(count: int) -> bool:
        return not changes_pixels({name: halves[name] for name in own[count:]})

    # Errors of the first layers grow in those that follow.
    kept = next(filter(is_enough, range(len(own) + 1)))
    halves |= {name: arrays[name] for name in own[:kept]}
    with replacing(path) as partial:
        halves["step"] = np.asarray(run.step)
        np.savez_compressed(partial, **halves)  # type: ignore[arg-type]
    return Path(path)


def _compare_pixels(run: "Run") -> Callable[[dict[str, np.ndarray]], bool]:
    """Returns a function of variables, whether these change a pixel by more than 1."""
    from sagan_tf.models.builders import build_sagan
    from sagan_tf.run import Run

    # In float32: in half precision any change of the weights moves pixels by more.
    config = dataclasses.replace(run.config, precision="float32")
    copy = Run(config, build_sagan(config))
    copy.generator.set_weights(run.generator.get_weights())
    expected = copy.generate(_COMPARED).astype(int)
    arrays = copy.generator.get_weights()
    variables = dict(_variables(copy.model))

    def changes_pixels(changed: dict[str, np.ndarray]) -> bool:
        copy.generator.set_weights(arrays)
        for name, array in changed.items():
            variables[name].assign(array)
        return bool(np.abs(copy.generate(_COMPARED) - expected).max() > 1)

    return changes_pixels


def load_networks(model: "SAGAN", path: str | Path) -> None:
    """Loads the networks and the step of a model from a file of `save_networks`.

    Raises:
        UserError: if the file is damaged, or is of other networks.
    """
    arrays = load_arrays(path)
    step = arrays.pop("step", np.asarray(-1.0))
    variables = dict(_variables(model))
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    is_step = step.shape == () and step.dtype.kind in "iu" and step >= 0
    if not is_step or {n: a.shape for n, a in arrays.items()} != shapes:
        raise UserError(f"{path} does not hold the networks that config.json describes")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise UserError(f"{path} is damaged: it holds values that are not finite")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    model.generator.set_weights(model.ema_generator.get_weights())
    model.step.assign(int(step))


def _variables(model: "SAGAN") -> list[tuple[str, Any]]:
    """Returns the variables of both networks with their names in the file."""
    return [
        # A path begins with the names of the model and of the network.
        ("/".join([name, *variable.path.split("/")[2:]]), variable)
        for name, attribute in _NETWORKS.items()
        for variable in getattr(model, attribute).variables
    ]


def _to_half(array: np.ndarray) -> np.ndarray:
    """Converts a large array to float16, unless a value would become infinite."""
    if array.size < _LEAST_HALVED:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.isfinite(half).all() else array
