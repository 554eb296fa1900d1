"""The blocks of the paper's residual networks."""

import keras
from keras import ops

from sagan_tf.layers.conditional_batch_normalization import (
    ConditionalBatchNormalization,
)
from sagan_tf.layers.spectral_normalization import SpectralNormalization


@keras.saving.register_keras_serializable(package="sagan_tf")
class GeneratorBlock(keras.layers.Layer):
    """Doubles a map's resolution, as SAGAN's generator does.

    `normalize, ReLU, upsample, convolve 3x3, normalize, ReLU, convolve 3x3`, plus the
    shortcut `upsample, convolve 1x1`; upsampling repeats pixels.

    Args:
        filters: Positive integer, channels of the output.
        num_classes: Integer; above 0 both normalizations are
            `ConditionalBatchNormalization`, else plain batch normalization.
        spectral_normalization: Boolean, for the three convolutions.
        spectral_norm_epsilon: Small float, their epsilon and that of the tables.
        reflection_padding: Boolean, whether 3x3 convolutions see a mirror image
            beyond the border instead of zeros.
        kernel_initializer: Initializer of the kernels.
        normalization: Dict of arguments for the batch normalizations: `momentum`,
            `epsilon`, `synchronized`, and for conditional ones
            `spectral_normalization`.

    Call arguments:
        inputs: Float `[batch, height, width, channels]`.
        labels: Integers `[batch]` or float `[batch, num_classes]`, if there are
            classes; see `ConditionalBatchNormalization`.
        training: Boolean.

    Output: `[batch, 2 * height, 2 * width, filters]`, in the compute dtype.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318) and its official code.
    """

    def __init__(
        self,
        filters,
        num_classes=0,
        spectral_normalization=True,
        spectral_norm_epsilon=1e-12,
        reflection_padding=False,
        kernel_initializer="glorot_uniform",
        normalization=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.num_classes = num_classes
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.normalization = dict(normalization or {})
        self.normalize_1 = batch_normalization(self, "normalize_1")
        self.normalize_2 = batch_normalization(self, "normalize_2")
        self.convolution_1 = convolution(self, filters, 3, "convolution_1")
        self.convolution_2 = convolution(self, filters, 3, "convolution_2")
        self.shortcut = convolution(self, filters, 1, "shortcut")

    def build(self, inputs_shape, labels_shape=None):
        upsampled = _scale(inputs_shape, 2)
        outputs = self.compute_output_shape(inputs_shape)
        self.normalize_1.build(tuple(inputs_shape))
        self.convolution_1.build(upsampled)
        self.normalize_2.build(outputs)
        self.convolution_2.build(outputs)
        self.shortcut.build(upsampled)

    def call(self, inputs, labels=None, training=False):
        x = self._normalize(self.normalize_1, inputs, labels, training)
        x = _upsample(ops.relu(x))
        x = apply_convolution(self.convolution_1, x, training)
        x = self._normalize(self.normalize_2, x, labels, training)
        x = apply_convolution(self.convolution_2, ops.relu(x), training)
        return x + apply_convolution(self.shortcut, _upsample(inputs), training)

    def compute_output_shape(self, inputs_shape, labels_shape=None):
        return (*_scale(inputs_shape, 2)[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            **_shared_config(self),
            "num_classes": self.num_classes,
            "normalization": self.normalization,
        }

    def _normalize(self, layer, x, labels, training):
        if self.num_classes:
            return layer(x, labels, training=training)
        return layer(x, training=training)


@keras.saving.register_keras_serializable(package="sagan_tf")
class DiscriminatorBlock(keras.layers.Layer):
    """Halves a map's resolution, as SAGAN's discriminator does, or keeps it.

    `ReLU, convolve 3x3, ReLU, convolve 3x3, average pool`, plus the shortcut
    `convolve 1x1, average pool`. The shortcut takes the block's input as it is, before
    the ReLU. There is no pooling without `downsample`, and then, if the channels stay
    too, no convolution in the shortcut either. The first block of a network has no
    ReLU before its first convolution, and pools its shortcut before it convolves.

    Args:
        filters: Positive integer, channels of the output.
        downsample: Boolean, whether to halve the resolution.
        first: Boolean, whether the inputs are images.
        negative_slope: Float, of the ReLUs; above 0 they are leaky.
        spectral_normalization: Boolean, for the convolutions.
        spectral_norm_epsilon: Small float, their epsilon.
        reflection_padding: Boolean, whether 3x3 convolutions see a mirror image
            beyond the border instead of zeros.
        kernel_initializer: Initializer of the kernels.

    Call arguments:
        inputs: Float `[batch, height, width, channels]`.
        training: Boolean, for spectral normalization.

    Output: `[batch, height / 2, width / 2, filters]`, or without `downsample`
    `[batch, height, width, filters]`, in the compute dtype.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318) and its official code.
    """

    def __init__(
        self,
        filters,
        downsample=True,
        first=False,
        negative_slope=0.0,
        spectral_normalization=True,
        spectral_norm_epsilon=1e-12,
        reflection_padding=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.downsample = downsample
        self.first = first
        self.negative_slope = negative_slope
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolution_1 = convolution(self, filters, 3, "convolution_1")
        self.convolution_2 = convolution(self, filters, 3, "convolution_2")
        self.shortcut = None

    def build(self, inputs_shape):
        inputs_shape = tuple(inputs_shape)
        self.convolution_1.build(inputs_shape)
        self.convolution_2.build((*inputs_shape[:-1], self.filters))
        if self.downsample or inputs_shape[-1] != self.filters:
            self.shortcut = convolution(self, self.filters, 1, "shortcut")
            self.shortcut.build(inputs_shape)

    def call(self, inputs, training=False):
        x = inputs if self.first else self._activate(inputs)
        x = apply_convolution(self.convolution_1, x, training)
        x = apply_convolution(self.convolution_2, self._activate(x), training)
        return self._pool(x) + self._shortcut(inputs, training)

    def compute_output_shape(self, inputs_shape):
        scale = 0.5 if self.downsample else 1
        return (*_scale(inputs_shape, scale)[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            **_shared_config(self),
            "downsample": self.downsample,
            "first": self.first,
            "negative_slope": self.negative_slope,
        }

    def _shortcut(self, x, training):
        if self.shortcut is None:
            return ops.cast(x, self.compute_dtype)
        # The two orders give the same: a 1x1 convolution and a mean commute. The first
        # block, whose input is large, takes the cheaper one.
        if self.first:
            return apply_convolution(self.shortcut, self._pool(x), training)
        return self._pool(apply_convolution(self.shortcut, x, training))

    def _activate(self, x):
        return ops.leaky_relu(x, self.negative_slope)

    def _pool(self, x):
        if not self.downsample:
            return x
        return ops.average_pool(x, 2, 2, data_format="channels_last")


@keras.saving.register_keras_serializable(package="sagan_tf")
class ReflectionConv2D(keras.layers.Conv2D):
    """A `Conv2D` that sees a mirror image beyond the border, and keeps the size.

    Arguments are those of `keras.layers.Conv2D`, with an odd `kernel_size` and
    `padding="valid"`.
    """

    def call(self, inputs):
        height, width = (size // 2 for size in self.kernel_size)
        padding = ((0, 0), (height, height), (width, width), (0, 0))
        return super().call(ops.pad(inputs, padding, mode="reflect"))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


def convolution(owner, filters, kernel_size, name, normalize=True):
    """A convolution that keeps the size, spectrally normalized if its owner says so.

    Args:
        owner: Layer or model with the attributes `spectral_normalization`,
            `spectral_norm_epsilon`, `reflection_padding` and `kernel_initializer`.
        filters: Positive integer.
        kernel_size: Odd integer.
        name: String.
        normalize: Boolean, False for none whatever the owner says.
    """
    reflects = owner.reflection_padding and kernel_size > 1
    layer_class = ReflectionConv2D if reflects else keras.layers.Conv2D
    layer = layer_class(
        filters,
        kernel_size,
        padding="valid" if reflects else "same",
        kernel_initializer=_copy_initializer(owner.kernel_initializer),
        data_format="channels_last",
        dtype=owner.dtype_policy,
        name=name,
    )
    if not (normalize and owner.spectral_normalization):
        return layer
    return SpectralNormalization(
        layer, epsilon=owner.spectral_norm_epsilon, name=f"{name}_sn"
    )


def apply_convolution(layer, x, training):
    """Calls what `convolution` made."""
    if isinstance(layer, SpectralNormalization):
        return layer(x, training=training)
    return layer(x)


def batch_normalization(owner, name):
    """Batch normalization, conditional if its owner has classes.

    Args:
        owner: Layer or model with the attributes `num_classes` and `normalization`.
        name: String.
    """
    settings = {"momentum": 0.9, "epsilon": 1e-5, **owner.normalization}
    if owner.num_classes:
        return ConditionalBatchNormalization(
            owner.num_classes,
            **settings,
            spectral_norm_epsilon=owner.spectral_norm_epsilon,
            dtype=owner.dtype_policy,
            name=name,
        )
    settings.pop("spectral_normalization", None)  # there are no tables
    return keras.layers.BatchNormalization(
        **settings, dtype=owner.dtype_policy, name=name
    )


def _copy_initializer(initializer):
    """A copy with a seed of its own: from one instance two layers start equal."""
    config = initializer.get_config()
    config.pop("seed", None)
    return type(initializer).from_config(config)


def _shared_config(block):
    return {
        "filters": block.filters,
        "spectral_normalization": block.spectral_normalization,
        "spectral_norm_epsilon": block.spectral_norm_epsilon,
        "reflection_padding": block.reflection_padding,
        "kernel_initializer": keras.initializers.serialize(block.kernel_initializer),
    }


def _upsample(x):
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def _scale(shape, factor):
    batch, height, width, channels = shape
    height, width = (None if s is None else int(s * factor) for s in (height, width))
    return (batch, height, width, channels)
