"""Keras' two-dimensional convolutions with the weight gradient of `kernel_gradient`.

Arguments, shapes and results are Keras' own, up to rounding.
"""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers.kernel_gradient import convolve, convolve_transposed
from sagan_tf.types import Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class Conv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` that trains faster on a CPU where maps are small.

    It does where it has `padding="same"`, no dilation, no groups and channels last.
    """

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if self.groups != 1 or not _is_supported(self):
            return super().convolution_op(inputs, kernel)
        return convolve(inputs, kernel, self.strides[0])


@keras.saving.register_keras_serializable(package="sagan_tf")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """A `keras.layers.Conv2DTranspose` that trains faster where maps are small.

    It does on a CPU with `padding="same"`, no dilation and channels last.
    """

    def call(self, inputs: Tensor) -> Tensor:
        if self.output_padding is not None or not _is_supported(self):
            return super().call(inputs)
        outputs = convolve_transposed(inputs, self.kernel, self.strides[0])
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)


def _is_supported(layer: Any) -> bool:
    return (layer.padding, layer.data_format) == ("same", "channels_last") and (
        layer.strides[0] == layer.strides[1] and set(layer.dilation_rate) == {1}
    )
