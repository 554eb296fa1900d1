"""Keras' two-dimensional convolutions, whose gradients are quick on a CPU.

Arguments and results are Keras' own. `sagan_tf.layers.kernel_gradient` has the reason.
"""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers.kernel_gradient import convolve, convolve_transposed
from sagan_tf.types import Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class Conv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D`, quicker where it pads with zeros."""

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if self.groups != 1 or not _pads_with_zeros(self):
            return super().convolution_op(inputs, kernel)
        return convolve(inputs, kernel, self.strides[0])


@keras.saving.register_keras_serializable(package="sagan_tf")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """A `keras.layers.Conv2DTranspose`, quicker where it pads with zeros."""

    def call(self, inputs: Tensor) -> Tensor:
        if self.output_padding is not None or not _pads_with_zeros(self):
            return super().call(inputs)
        outputs = convolve_transposed(inputs, self.kernel, self.strides[0])
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)


def _pads_with_zeros(layer: Any) -> bool:
    return (layer.padding, layer.data_format) == ("same", "channels_last") and (
        layer.strides[0] == layer.strides[1] and set(layer.dilation_rate) == {1}
    )
