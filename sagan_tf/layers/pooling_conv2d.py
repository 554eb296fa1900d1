import keras

from sagan_tf.layers.kernel_gradient import convolve
from sagan_tf.layers.resampling import ResamplingConv2D, pool, sum_shifted
from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class PoolingConv2D(ResamplingConv2D):
    """A convolution followed by 2x2 average pooling, computed as one.

    A convolution with stride 2, whose kernel is the mean of four shifts of this
    layer's, gives the same with 2.25 times fewer multiplications (of a 3x3 kernel).
    Small maps, which would not gain by it, and those of odd height or width are
    convolved and pooled. An activation follows the pooling.

    Arguments are those of `keras.layers.Conv2D` with an odd `kernel_size` and
    `padding="same"`, without strides, dilation or groups, and with channels last.

    Output: `[batch, height / 2, width / 2, filters]`, rounded down.

    Example:

    ```python
    # [B, H, W, C] -> [B, H / 2, W / 2, 64]
    outputs = PoolingConv2D(64, 3)(feature_map)
    ```
    """

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        sizes = inputs.shape[1:3]
        is_even = not any(size is None or size % 2 for size in sizes)
        if not is_even or not self.is_fused(tuple(size // 2 for size in sizes)):
            return pool(super().convolution_op(inputs, kernel))
        return convolve(inputs, sum_shifted(kernel) / 4, strides=2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        height, width = (size and size // 2 for size in (height, width))
        return (batch, height, width, self.filters)
