from typing import Any

import keras
from keras import ops

from sagan_tf.layers.convolution import convolution
from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class ResidualBlock(keras.layers.Layer):
    """What the SAGAN paper puts in the place of attention, to compare the two.

    `x + convolve 3x3(ReLU(convolve 3x3(ReLU(x))))`, with few channels in between. The
    paper asks whether attention is better than more depth of the same size; it does not
    say how its block is made narrow enough.

    Args:
        hidden_filters: Positive integer, the channels between the convolutions.
        spectral_normalization: Boolean, for the convolutions.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        reflection_padding: Boolean, whether the convolutions pad by reflection instead
            of zeros.
        kernel_initializer: Initializer of the kernels. Each convolution has a copy with
            a seed of its own.

    Call arguments:
        inputs: Float `[batch, height, width, channels]`.
        training: Boolean, whether spectral normalization updates its state.

    Output: like `inputs`, in the compute dtype.

    Example:

    ```python
    outputs = ResidualBlock(9)(feature_map)  # [B, H, W, 128] -> [B, H, W, 128]
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318), table 1.
    """

    def __init__(
        self,
        hidden_filters: int,
        spectral_normalization: bool = True,
        spectral_norm_epsilon: float = 1e-12,
        reflection_padding: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.hidden_filters = hidden_filters
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolution_1 = convolution(self, hidden_filters, 3, "convolution_1")

    def build(self, inputs_shape: Shape) -> None:
        *positions, channels = inputs_shape
        self.convolution_2 = convolution(self, channels, 3, "convolution_2")
        self.convolution_1.build(tuple(inputs_shape))
        self.convolution_2.build((*positions, self.hidden_filters))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = self.convolution_1(ops.relu(inputs), training=training)
        x = self.convolution_2(ops.relu(x), training=training)
        return ops.cast(inputs, self.compute_dtype) + x

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return tuple(inputs_shape)

    def count_inner_activations(self, inputs_shape: tuple[int, ...]) -> int:
        """Counts the values that backpropagation keeps besides the block's output.

        Two maps of the input's size and two of `hidden_filters` channels.

        Args:
            inputs_shape: `(batch, height, width, channels)`.
        """
        batch, height, width, channels = inputs_shape
        return 2 * batch * height * width * (channels + self.hidden_filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_filters": self.hidden_filters,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "reflection_padding": self.reflection_padding,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
