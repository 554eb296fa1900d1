from typing import Any

import keras
from keras import ops

from sagan_tf.layers.conv2d import Conv2D
from sagan_tf.layers.convolution import convolution
from sagan_tf.layers.pooling_conv2d import PoolingConv2D
from sagan_tf.layers.resampling import pool
from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class DiscriminatorBlock(keras.layers.Layer):
    """Residual block of SAGAN's discriminator: halves the resolution, or keeps it.

    1. `ReLU, convolve 3x3, ReLU, convolve 3x3, average pool 2x2`
    2. plus the shortcut `convolve 1x1, average pool 2x2`.

    The shortcut takes the block's input before the ReLU. Without `downsample` there is
    no pooling, and the shortcut has no convolution unless the number of channels
    changes. The first block of a network has no ReLU before its first convolution.

    The second convolution and the pooling after it are computed as one by
    `PoolingConv2D`, and the shortcut is pooled before it is convolved, which is the
    same.

    Args:
        filters: Positive integer, output channels.
        downsample: Boolean, whether to halve the resolution.
        first: Boolean, whether the inputs are images.
        slope: Float, negative slope of the ReLUs; positive ones are leaky.
        spectral_normalization: Boolean, for the convolutions.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        reflection_padding: Boolean, whether the 3x3 convolutions pad by reflection
            instead of zeros.
        kernel_initializer: Initializer of the kernels. Each convolution has a copy with
            a seed of its own.

    Call arguments:
        inputs: Float `[batch, height, width, channels]`.
        training: Boolean, whether spectral normalization updates its state.

    Output: `[batch, height / 2, width / 2, filters]`, or without `downsample`
    `[batch, height, width, filters]`, in the compute dtype.

    Example:

    ```python
    outputs = DiscriminatorBlock(128)(feature_map)  # [B, H, W, C] -> [B, H/2, W/2, 128]
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318) and its official code.
    """

    def __init__(
        self,
        filters: int,
        downsample: bool = True,
        first: bool = False,
        slope: float = 0.0,
        spectral_normalization: bool = True,
        spectral_norm_epsilon: float = 1e-12,
        reflection_padding: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.downsample = downsample
        self.first = first
        self.slope = slope
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolution_1 = convolution(self, filters, 3, "convolution_1")
        self.convolution_2 = convolution(
            self,
            filters,
            3,
            "convolution_2",
            layer_class=PoolingConv2D if downsample else Conv2D,
        )
        self.shortcut: Any = None

    def build(self, inputs_shape: Shape) -> None:
        inputs_shape = tuple(inputs_shape)
        self.convolution_1.build(inputs_shape)
        self.convolution_2.build((*inputs_shape[:-1], self.filters))
        if self.downsample or inputs_shape[-1] != self.filters:
            self.shortcut = convolution(self, self.filters, 1, "shortcut")
            self.shortcut.build(inputs_shape)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = inputs if self.first else self._activate(inputs)
        x = self.convolution_1(x, training=training)
        x = self.convolution_2(self._activate(x), training=training)
        if self.downsample:
            inputs = pool(inputs)
            if self.reflection_padding:
                x = pool(x)
        if self.shortcut is None:
            return x + ops.cast(inputs, self.compute_dtype)
        return x + self.shortcut(inputs, training=training)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        batch, height, width, _ = inputs_shape
        if self.downsample:
            height, width = (size and size // 2 for size in (height, width))
        return (batch, height, width, self.filters)

    def count_inner_activations(self, inputs_shape: tuple[int, ...]) -> int:
        """Counts the values that backpropagation keeps besides the block's output.

        One map of the input's size (ReLU) and two maps of `filters` channels. Two more
        are pooled, and so is the shortcut's input.

        Args:
            inputs_shape: `(batch, height, width, channels)`.
        """
        batch, height, width, channels = inputs_shape
        positions = batch * height * width
        kept = channels + 2 * self.filters
        if not self.downsample:
            return positions * (kept + 2 * self.filters)
        return (positions + positions // 4) * kept

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "downsample": self.downsample,
            "first": self.first,
            "slope": self.slope,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "reflection_padding": self.reflection_padding,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _activate(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.slope)
