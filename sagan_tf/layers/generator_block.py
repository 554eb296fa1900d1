from typing import Any

import keras
from keras import ops

from sagan_tf.layers.convolution import batch_normalization, convolution
from sagan_tf.layers.resampling import upsample
from sagan_tf.layers.upsampling_conv2d import UpsamplingConv2D
from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class GeneratorBlock(keras.layers.Layer):
    """Residual block of SAGAN's generator: doubles the resolution of a feature map.

    1. `batch norm, ReLU, upsample 2x, convolve 3x3, batch norm, ReLU, convolve 3x3`
    2. plus the shortcut `upsample 2x, convolve 1x1`.

    Upsampling repeats pixels (nearest neighbor). It and the convolution after it are
    computed as one by `UpsamplingConv2D`, and the shortcut is convolved before it is
    upsampled, which is the same.

    Args:
        filters: Positive integer, output channels.
        num_classes: Integer. If positive, both batch normalizations are
            `ConditionalBatchNormalization`.
        spectral_normalization: Boolean, for the three convolutions.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        reflection_padding: Boolean, whether the 3x3 convolutions pad by reflection
            instead of zeros.
        kernel_initializer: Initializer of the kernels. Each convolution has a copy with
            a seed of its own.
        batch_norm_momentum: Float in `[0, 1]`.
        batch_norm_epsilon: Small float added to the variance.
        synchronized_batch_norm: Boolean, whether all replicas of a `tf.distribute`
            strategy share their batch statistics.
        conditional_spectral_normalization: Boolean, whether the tables of conditional
            batch normalization are spectrally normalized.

    Call arguments:
        inputs: Float `[batch, height, width, channels]`.
        labels: Integers `[batch]`, or class weights, float `[batch, num_classes]`. Only
            with classes; see `ConditionalBatchNormalization`.
        training: Boolean, whether to use batch statistics and to update state.

    Output: `[batch, 2 * height, 2 * width, filters]` in the compute dtype.

    Example:

    ```python
    outputs = GeneratorBlock(256, num_classes=10)(feature_map, labels)
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318) and its official code.
    """

    def __init__(
        self,
        filters: int,
        num_classes: int = 0,
        spectral_normalization: bool = True,
        spectral_norm_epsilon: float = 1e-12,
        reflection_padding: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-5,
        synchronized_batch_norm: bool = False,
        conditional_spectral_normalization: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.num_classes = num_classes
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.batch_norm_momentum = batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon
        self.synchronized_batch_norm = synchronized_batch_norm
        self.conditional_spectral_normalization = conditional_spectral_normalization
        self.normalize_1 = batch_normalization(self, "normalize_1")
        self.normalize_2 = batch_normalization(self, "normalize_2")
        self.convolution_1 = convolution(
            self, filters, 3, "convolution_1", layer_class=UpsamplingConv2D
        )
        self.convolution_2 = convolution(self, filters, 3, "convolution_2")
        self.shortcut = convolution(self, filters, 1, "shortcut")

    def build(self, inputs_shape: Shape, labels_shape: Shape | None = None) -> None:
        outputs_shape = self.compute_output_shape(inputs_shape)
        self.normalize_1.build(tuple(inputs_shape))
        self.convolution_1.build(tuple(inputs_shape))
        self.normalize_2.build(outputs_shape)
        self.convolution_2.build(outputs_shape)
        self.shortcut.build(tuple(inputs_shape))

    def call(
        self, inputs: Tensor, labels: Tensor | None = None, training: bool = False
    ) -> Tensor:
        classes = (labels,) if self.num_classes else ()
        x = ops.relu(self.normalize_1(inputs, *classes, training=training))
        if self.reflection_padding:  # of the upsampled map
            x = upsample(x)
        x = self.convolution_1(x, training=training)
        x = ops.relu(self.normalize_2(x, *classes, training=training))
        x = self.convolution_2(x, training=training)
        return x + upsample(self.shortcut(inputs, training=training))

    def compute_output_shape(
        self, inputs_shape: Shape, labels_shape: Shape | None = None
    ) -> Shape:
        batch, height, width, _ = inputs_shape
        height, width = (size and 2 * size for size in (height, width))
        return (batch, height, width, self.filters)

    def count_inner_activations(self, inputs_shape: tuple[int, ...]) -> int:
        """Counts the values that backpropagation keeps besides the block's output.

        Two maps of the input's size (normalized, ReLU) and, at twice the resolution,
        five maps of `filters` channels. With reflection padding the upsampled input
        too.

        Args:
            inputs_shape: `(batch, height, width, channels)`.
        """
        batch, height, width, channels = inputs_shape
        inputs = batch * height * width
        upsampled = 4 * channels * self.reflection_padding
        return inputs * (2 * channels + 4 * 5 * self.filters + upsampled)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "num_classes": self.num_classes,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "reflection_padding": self.reflection_padding,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "conditional_spectral_normalization": (
                self.conditional_spectral_normalization
            ),
        }
