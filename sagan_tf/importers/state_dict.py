"""Reading a PyTorch state dict, with PyTorch or without."""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from sagan_tf.arrays import fits_memory, load_arrays
from sagan_tf.errors import UserError
from sagan_tf.packages import check_installed
from sagan_tf.text import first_line

# `torch.save` of PyTorch before 1.6 begins a file with this many pickles.
_LEGACY_PICKLES = 5


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
        UserError: if the file is missing, cannot be read, holds anything but dense
            tensors of real numbers or would exhaust the memory, or if PyTorch is needed
            and missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}")
    read = load_arrays if path.suffix == ".npz" else _read_torch
    state = read(path)
    prefix = "module."
    if state and all(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): array for name, array in state.items()}
    return state


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    check_installed(f"Reading {path}, unlike an .npz file,", "torch", "torch")
    import torch

    try:
        _check_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in many ways
        raise UserError(
            f"{path} cannot be read as a state dict, which is what "
            "torch.save(model.state_dict(), ...) writes. Pickled models are not read: "
            f"that would run code in them ({first_line(error):.200})"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in state.items()
    ):
        raise UserError(
            f"{path} holds more than the tensors of one network. Give a file that "
            "torch.save(model.state_dict(), ...) wrote"
        )
    for name, tensor in state.items():
        if problem := _tensor_problem(tensor):
            raise UserError(f"{path}: the tensor {name:.200} is {problem}")
    if not fits_memory(4 * sum(tensor.numel() for tensor in state.values())):
        raise UserError(f"The tensors of {path} would take more than half the memory")
    # Via float32: NumPy has no bfloat16.
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def _check_file(path: Path) -> None:
    """Raises an exception if loading a file could exhaust the memory.

    Nothing in it is executed by `weights_only=True`, but `bytearray(10**12)` is allowed
    there, and so are compressed tensors.
    """
    for pickle in _pickles(path):
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name in ("GLOBAL", "INST") and not _is_of_tensors(argument):
                raise ValueError(f"it calls {argument}")


def _is_of_tensors(name: Any) -> bool:
    module, _, attribute = str(name).partition(" ")
    if module == "torch" or module.startswith("torch."):
        return not attribute.endswith("Tensor")  # `torch.Tensor(10**12)`
    return name == "collections OrderedDict"


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """Yields files that are at the start of each pickle in a PyTorch file."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            for _ in range(_LEGACY_PICKLES):
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # `torch.save` does not compress.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its tensors are larger than the file")
        for member in members:
            if member.filename.endswith(".pkl"):
                yield io.BytesIO(archive.read(member))


def _tensor_problem(tensor: Any) -> str:
    """Returns why a PyTorch tensor is no plain array of real numbers, or `""`."""
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"of the type {type(tensor).__name__}"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "sparse or nested. Only dense tensors are read"
    if tensor.is_quantized:
        return "quantized. Only tensors of numbers are read: dequantize it first"
    if tensor.is_meta:
        return "a meta tensor, which has no values"
    if tensor.is_complex():
        return "complex. Only real tensors are read"
    if tensor.element_size() * tensor.numel() > tensor.untyped_storage().nbytes():
        return "an expanded view, larger than what the file holds of it"
    return ""
