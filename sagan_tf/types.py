"""The types that appear in several signatures."""

from typing import Any, TypeAlias

# A tensor of the Keras backend in use, or a NumPy array: they share no base class.
Tensor: TypeAlias = Any
# The sizes of a tensor's axes; None for an unknown size.
Shape: TypeAlias = tuple[Any, ...]
