from typing import Any

import keras
from keras import ops

from sagan_tf.layers.spectral_normalization import SpectralNormalization
from sagan_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalization with a gain and a shift for each class.

    `mean` and `variance` of each channel are those of the batch in training and moving
    averages otherwise. All classes share them:

    `output = gain[label] * (x - mean) / sqrt(variance + epsilon) + shift[label]`

    Gains start at 1 and shifts at 0, so a new layer is plain batch normalization. The
    layer computes in float32 under every dtype policy.

    Args:
        num_classes: Positive integer.
        momentum: Float in `[0, 1]`, momentum of the moving averages.
        epsilon: Small float added to the variance.
        synchronized: Boolean, whether all replicas of a `tf.distribute` strategy share
            their batch statistics.
        spectral_normalization: Boolean, whether the two tables are spectrally
            normalized, as in PyTorch-StudioGAN. The gain is then `1 + table[label]`,
            and both tables start from Glorot's uniform distribution: a normalized table
            of ones would give a gain near 0, and a table of zeros has no spectral norm.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.

    Call arguments:
        inputs: Float `[batch, ..., channels]`.
        labels: Integers `[batch]` in `[0, num_classes)`; or class weights, float
            `[batch, num_classes]`, for images between classes.
        training: Boolean, whether to use batch statistics and to update the moving
            averages.

    Output: a tensor of the inputs' shape and the layer's compute dtype.

    Raises:
        ValueError: if `num_classes` is not positive.

    Example:

    ```python
    outputs = ConditionalBatchNormalization(num_classes=10)(feature_map, labels)
    ```

    Reference:
        [Dumoulin et al., 2016](https://arxiv.org/abs/1610.07629);
        [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637).
    """

    def __init__(
        self,
        num_classes: int,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        synchronized: bool = False,
        spectral_normalization: bool = False,
        spectral_norm_epsilon: float = 1e-12,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(
                f"`num_classes` must be positive. Received: num_classes={num_classes}"
            )
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.normalization = keras.layers.BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            synchronized=synchronized,
            dtype="float32",
            name="normalization",
        )

    def build(self, inputs_shape: Shape, labels_shape: Shape | None = None) -> None:
        self.normalization.build(inputs_shape)
        self.gain = self._table("gain", "ones", inputs_shape[-1])
        self.shift = self._table("shift", "zeros", inputs_shape[-1])

    def call(self, inputs: Tensor, labels: Tensor, training: bool = False) -> Tensor:
        normalized = self.normalization(ops.cast(inputs, "float32"), training=training)
        gain = self._read(self.gain, labels, normalized, training)
        if self.spectral_normalization:
            gain = 1.0 + gain
        shift = self._read(self.shift, labels, normalized, training)
        return ops.cast(gain * normalized + shift, self.compute_dtype)

    def compute_output_shape(
        self, inputs_shape: Shape, labels_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
        }

    def _table(self, name: str, initializer: str, channels: int) -> Any:
        if self.spectral_normalization:
            initializer = "glorot_uniform"
        table = keras.layers.Embedding(
            self.num_classes, channels, initializer, dtype="float32", name=name
        )
        if self.spectral_normalization:
            table = SpectralNormalization(
                table, epsilon=self.spectral_norm_epsilon, name=f"{name}_sn"
            )
        table.build((None,))
        return table

    def _read(self, table: Any, labels: Tensor, like: Tensor, training: bool) -> Tensor:
        """Returns the labels' rows, `[batch, 1, ..., channels]`."""
        weighted = len(labels.shape) == 2
        indices = ops.arange(self.num_classes) if weighted else labels
        rows = table(indices, training=training)
        if weighted:  # [batch, classes] x [classes, channels]
            rows = ops.matmul(ops.cast(labels, "float32"), rows)
        ones = (1,) * (len(like.shape) - 2)
        return ops.reshape(rows, (-1, *ones, like.shape[-1]))
