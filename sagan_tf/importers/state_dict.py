"""Reading a PyTorch state dict, with PyTorch or without."""

import zipfile
from pathlib import Path

import numpy as np

from sagan_tf.errors import UserError


def read_state_dict(path):
    """Reads the tensors of a checkpoint file by name.

    A leading `module.`, which `torch.nn.DataParallel` puts before every name, is
    taken off.

    Args:
        path: `.npz` of arrays, or a file that `torch.save(model.state_dict(), path)`
            wrote. PyTorch is needed for the second alone; only tensors are read
            from it, and no code in it is run (`weights_only=True`).

    Returns:
        Dict of names to NumPy arrays.

    Raises:
        UserError: if the file is missing, cannot be read, or holds anything but
            tensors, or PyTorch is needed and not there.
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


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an .npz file of numeric arrays") from error


def _read_torch(path):
    try:
        import torch
    except ImportError:
        raise UserError(
            f"Reading {path} needs PyTorch: pip install -r requirements-torch.txt. "
            "An .npz of the same arrays is read without it"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever bytes that are no checkpoint bring about
        raise UserError(
            f"{path} cannot be read as a state dict, which is what "
            "torch.save(model.state_dict(), ...) writes. A whole pickled model is not "
            "read, since that would run code in it"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise UserError(
            f"{path} holds more than the tensors of one network. Give a file that "
            "torch.save(model.state_dict(), ...) wrote"
        )
    # By way of float32: NumPy has no bfloat16.
    return {name: tensor.float().numpy() for name, tensor in state.items()}
