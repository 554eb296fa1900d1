"""Nearest upsampling and average pooling by 2, alone and within a convolution.

Upsampling repeats each pixel four times, and the convolution after it multiplies all
four. Average pooling adds four results that were multiplied one by one. In both cases
the kernel can be added up instead: a convolution whose kernel is one larger, with
stride 2, gives the same with 2.25 times fewer multiplications (of a 3x3 kernel).
"""

from typing import Any

from keras import ops

from sagan_tf.layers.conv2d import Conv2D
from sagan_tf.layers.processor import is_cpu
from sagan_tf.types import Shape, Tensor


def upsample(x: Tensor) -> Tensor:
    """Repeats pixels: `[B, H, W, C]` to `[B, 2 * H, 2 * W, C]`."""
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def pool(x: Tensor) -> Tensor:
    """Averages 2x2 pixels: `[B, H, W, C]` to `[B, H / 2, W / 2, C]`."""
    return ops.average_pool(x, 2, 2, data_format="channels_last")


def sum_shifted(kernel: Tensor) -> Tensor:
    """Sums a kernel over its shifts by 0 and 1 in height and width.

    Args:
        kernel: `[k, k, inputs, outputs]`.

    Returns:
        `[k + 1, k + 1, inputs, outputs]`, summed in float32 and of the kernel's dtype.
    """
    total = ops.cast(kernel, "float32")
    for axis in (0, 1):
        before, after = ([[0, 0] for _ in range(4)] for _ in range(2))
        before[axis], after[axis] = [1, 0], [0, 1]
        total = ops.pad(total, before) + ops.pad(total, after)
    return ops.cast(total, kernel.dtype)


class ResamplingConv2D(Conv2D):
    """What `UpsamplingConv2D` and `PoolingConv2D` share.

    A subclass has the method `convolution_op`, which Keras' convolutions call with the
    inputs and the kernel.

    Args:
        filters: Positive integer, output channels.
        kernel_size: Odd integer.
        **kwargs: Arguments of `keras.layers.Conv2D`, without strides, dilation or
            groups, and with channels last.

    Raises:
        ValueError: if an argument is not supported.
    """

    # Summing the kernel costs more than it saves where there are many channels and few
    # positions. On a GPU it is faster in some cases and much slower in others, so it is
    # left out there, and under JAX and PyTorch. `benchmarks/README.md` has the
    # measurements.
    smallest_fused = 8  # resolution of the smaller map

    def __init__(self, filters: int, kernel_size: Any, **kwargs: Any):
        kwargs.setdefault("padding", "same")
        super().__init__(filters, kernel_size, **kwargs)
        if (
            not all(size % 2 for size in self.kernel_size)
            or (self.strides, self.dilation_rate) != ((1, 1), (1, 1))
            or (self.padding, self.groups, self.data_format)
            != ("same", 1, "channels_last")
        ):
            raise ValueError(
                f"`{type(self).__name__}` has an odd kernel size, the padding "
                '"same", no strides, dilation or groups, and channels last. '
                f"Received: kernel_size={self.kernel_size}, padding={self.padding}, "
                f"strides={self.strides}, dilation_rate={self.dilation_rate}, "
                f"groups={self.groups}, data_format={self.data_format}"
            )

    def is_fused(self, smaller_map: Shape) -> bool:
        """Returns whether convolution and resampling are computed as one.

        Args:
            smaller_map: `(height, width)` before upsampling, or after pooling.
        """
        is_large = all(size and size >= self.smallest_fused for size in smaller_map)
        return is_large and is_cpu()
