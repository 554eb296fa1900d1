import keras
from keras import ops

from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class ReflectionConv2D(keras.layers.Conv2D):
    """A `Conv2D` that pads by reflection and keeps the map's size.

    Zero padding darkens the border of an image; reflection padding does not.

    Arguments are those of `keras.layers.Conv2D`, with an odd `kernel_size` and
    `padding="valid"`.

    Example:

    ```python
    outputs = ReflectionConv2D(64, 3)(feature_map)  # [B, H, W, C] -> [B, H, W, 64]
    ```
    """

    def call(self, inputs: Tensor) -> Tensor:
        height, width = (size // 2 for size in self.kernel_size)
        padding = ((0, 0), (height, height), (width, width), (0, 0))
        return super().call(ops.pad(inputs, padding, mode="reflect"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)
