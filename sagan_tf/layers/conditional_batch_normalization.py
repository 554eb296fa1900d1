import keras
from keras import ops

from sagan_tf.layers.spectral_normalization import SpectralNormalization


@keras.saving.register_keras_serializable(package="sagan_tf")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalization whose gain and shift are each class's own.

    With `mean` and `variance` of each channel over the batch (in training) or moving
    ones (otherwise), the same for all classes:

    `output = gain[label] * (x - mean) / sqrt(variance + epsilon) + shift[label]`

    The gains start at 1 and the shifts at 0, so at first the layer is plain batch
    normalization. It is computed in float32 under every dtype policy.

    Args:
        num_classes: Positive integer.
        momentum: Float, what the moving statistics keep of themselves in a step.
        epsilon: Small float added to the variance.
        synchronized: Boolean, whether all replicas of a `tf.distribute` strategy share
            their batch statistics.
        spectral_normalization: Boolean, whether the two tables are spectrally
            normalized, as in PyTorch-StudioGAN. The gain is `1 + table[label]` then,
            and both tables start by Glorot's rule: one of ones would have a gain of
            almost 0, one of zeros no spectral norm.
        spectral_norm_epsilon: Small float, the epsilon of that.

    Call arguments:
        inputs: Float `[batch, ..., channels]`.
        labels: Integers `[batch]` in `[0, num_classes)`; or, for images between the
            classes, float `[batch, num_classes]`, the weights of the classes' rows.
        training: Boolean, whether batch statistics are used and moving ones move.

    Output: a tensor of the inputs' shape and the layer's compute dtype.

    Raises:
        ValueError: if `num_classes` is not positive.

    Reference:
        [Dumoulin et al., 2016](https://arxiv.org/abs/1610.07629);
        [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637).
    """

    def __init__(
        self,
        num_classes,
        momentum=0.9,
        epsilon=1e-5,
        synchronized=False,
        spectral_normalization=False,
        spectral_norm_epsilon=1e-12,
        **kwargs,
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

    def build(self, inputs_shape, labels_shape=None):
        self.normalization.build(inputs_shape)
        self.gain = self._table("gain", "ones", inputs_shape[-1])
        self.shift = self._table("shift", "zeros", inputs_shape[-1])

    def call(self, inputs, labels, training=False):
        normalized = self.normalization(ops.cast(inputs, "float32"), training=training)
        gain = self._read(self.gain, labels, normalized, training)
        if self.spectral_normalization:
            gain = 1.0 + gain
        shift = self._read(self.shift, labels, normalized, training)
        return ops.cast(gain * normalized + shift, self.compute_dtype)

    def compute_output_shape(self, inputs_shape, labels_shape=None):
        return tuple(inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
        }

    def _table(self, name, initializer, channels):
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

    def _read(self, table, labels, like, training):
        """The labels' rows, `[batch, 1, ..., channels]`."""
        mixed = len(labels.shape) == 2
        indices = ops.arange(self.num_classes) if mixed else labels
        if self.spectral_normalization:
            rows = table(indices, training=training)
        else:
            rows = table(indices)
        if mixed:  # [batch, classes] x [classes, channels]
            rows = ops.matmul(ops.cast(labels, "float32"), rows)
        ones = (1,) * (len(like.shape) - 2)
        return ops.reshape(rows, (-1, *ones, like.shape[-1]))
