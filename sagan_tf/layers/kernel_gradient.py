"""Convolutions of small maps whose weight gradient is quick on a CPU.

The gradient of the kernel is the sum, over all positions, of products of inputs and
upstream gradients. Convolution libraries for CPUs are made for large maps. Where the
kernel is large and the map is small, one matrix product for each element of the window
is up to five times as fast (`benchmarks/README.md`).
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from sagan_tf.layers.processor import is_cpu
from sagan_tf.types import Shape, Tensor

# Where matrix products win, as measured.
_MOST_POSITIONS = 2**12
_LEAST_WEIGHTS = 2**18


def convolve(inputs: Tensor, kernel: Tensor, strides: int = 1) -> Tensor:
    """Returns a convolution with zero padding.

    Args:
        inputs: `[batch, height, width, inputs]`.
        kernel: `[k, k, inputs, outputs]`.
        strides: Positive integer.

    Returns:
        `[batch, height / strides, width / strides, outputs]`.
    """
    batch, height, width, _ = inputs.shape
    if any(size is None or size % strides for size in (height, width)):
        return _convolve(inputs, kernel, strides)
    smaller = (batch, height // strides, width // strides)
    if not _prefers_products(smaller, kernel.shape, strides):
        return _convolve(inputs, kernel, strides)
    return _with_products(_convolve, inputs, kernel, strides)


def convolve_transposed(inputs: Tensor, kernel: Tensor, strides: int = 2) -> Tensor:
    """Returns a transposed convolution with zero padding.

    Args:
        inputs: `[batch, height, width, inputs]`.
        kernel: `[k, k, outputs, inputs]`.
        strides: Positive integer.

    Returns:
        `[batch, height * strides, width * strides, outputs]`.
    """
    if not _prefers_products(inputs.shape[:-1], kernel.shape, strides):
        return _convolve_transposed(inputs, kernel, strides)
    return _with_products(_convolve_transposed, inputs, kernel, strides)


def differentiate_by_kernel(
    larger: Tensor, smaller: Tensor, kernel_size: int, strides: int
) -> Tensor:
    """Returns the gradient of a convolution with respect to its kernel.

    Args:
        larger: `[batch, height * strides, width * strides, channels]`, the inputs of a
            convolution, or the upstream gradient of a transposed one.
        smaller: `[batch, height, width, features]`, the smaller map: the upstream
            gradient of a convolution, or the inputs of a transposed one.
        kernel_size: Positive integer `k`, a multiple of the strides.
        strides: Positive integer.

    Returns:
        `[k, k, channels, features]`.
    """
    _, height, width, features = smaller.shape
    channels = larger.shape[-1]
    before = (kernel_size - strides) // 2
    padding = (before, kernel_size - strides - before)
    padded = ops.pad(larger, ((0, 0), padding, padding, (0, 0)))
    # Rows and columns that one element of the window meets, next to each other.
    tall, wide = (size // strides for size in padded.shape[1:3])
    phases = ops.reshape(padded, (-1, tall, strides, wide, strides, channels))
    phases = ops.transpose(phases, (2, 4, 0, 1, 3, 5))
    factor = ops.reshape(smaller, (-1, features))
    products = []
    for row in range(kernel_size):
        for column in range(kernel_size):
            top, left = row // strides, column // strides
            met = phases[row % strides, column % strides]
            met = met[:, top : top + height, left : left + width]
            met = ops.reshape(met, (-1, channels))
            # [channels, positions] x [positions, features]
            products.append(ops.matmul(ops.transpose(met), factor))
    gradient = ops.stack(products)
    return ops.reshape(gradient, (kernel_size, kernel_size, channels, features))


def _prefers_products(smaller: Shape, kernel: Shape, strides: int) -> bool:
    """Returns whether matrix products give the weight gradient more quickly.

    Args:
        smaller: `(batch, height, width)` of the smaller map.
        kernel: `(height, width, ...)` of the kernel.
        strides: Positive integer.
    """
    if None in smaller or kernel[0] != kernel[1] or kernel[0] % strides:
        return False
    batch, height, width = smaller
    weights = kernel[0] * kernel[1] * kernel[2] * kernel[3]
    is_small = batch * height * width <= _MOST_POSITIONS
    return is_small and weights >= _LEAST_WEIGHTS and is_cpu()


def _convolve(inputs: Tensor, kernel: Tensor, strides: int) -> Tensor:
    return ops.conv(inputs, kernel, strides, "same", "channels_last")


def _convolve_transposed(inputs: Tensor, kernel: Tensor, strides: int) -> Tensor:
    return ops.conv_transpose(
        inputs, kernel, strides, "same", data_format="channels_last"
    )


def _with_products(
    function: Callable, inputs: Tensor, kernel: Tensor, strides: int
) -> Tensor:
    """Calls `function`, one of the two convolutions above.

    The gradient of each with respect to its inputs is the other.
    """

    @ops.custom_gradient
    def compute(inputs: Tensor, kernel: Tensor) -> Any:
        def gradient(*arguments: Tensor, upstream: Tensor = None) -> tuple[Tensor, ...]:
            if upstream is None:
                (upstream,) = arguments
            if function is _convolve:
                by_inputs = _convolve_transposed(upstream, kernel, strides)
                maps = inputs, upstream
            else:
                by_inputs = _convolve(upstream, kernel, strides)
                maps = upstream, inputs
            return by_inputs, differentiate_by_kernel(*maps, kernel.shape[0], strides)

        return function(inputs, kernel, strides), gradient

    # Of variables TensorFlow would expect another kind of gradient function.
    return compute(ops.copy(inputs), ops.copy(kernel))
