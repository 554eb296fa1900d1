"""Reading a PyTorch state dict, with PyTorch or without."""

import zipfile
from pathlib import Path

import numpy as np

from sagan_tf.errors import UserError


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a checkpoint file by name.

    The prefix `module.`, which `torch.nn.DataParallel` adds to every name, is removed.

    Args:
        path: `.npz` file of arrays, or a file that
            `torch.save(model.state_dict(), path)` wrote. Only the latter needs PyTorch.
            Only tensors are read from it, and no code in it is run
            (`weights_only=True`).

    Returns:
        Dict from names to NumPy arrays.

    Raises:
        UserError: if the file is missing, cannot be read, or holds anything but
            tensors, or if PyTorch is needed and missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}")
    read = _read_npz if path.suffix == ".npz" else _read_torch
    state = read(path)
    prefix = "module."
    if state and all(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): array for name, array in state.items()}
    return state


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an .npz file of numeric arrays") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"Reading {path} needs PyTorch: pip install -r requirements-torch.txt. "
            "An .npz file of the same arrays is read without it"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in many ways
        raise UserError(
            f"{path} cannot be read as a state dict, which is what "
            "torch.save(model.state_dict(), ...) writes. Pickled models are not read: "
            "that would run code in them"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise UserError(
            f"{path} holds more than the tensors of one network. Give a file that "
            "torch.save(model.state_dict(), ...) wrote"
        )
    # Via float32: NumPy has no bfloat16.
    return {name: tensor.float().numpy() for name, tensor in state.items()}
