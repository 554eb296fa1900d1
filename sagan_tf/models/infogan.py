"""The SAGAN that many met first, on MNIST: a small net with an attention block.

The tables are those of TwistedW/tensorflow-GANs (TensorFlow 1), whose networks have
InfoGAN's shape; there is no information term in the loss. They do in small what
`dcgan.py` does, without spectral normalization and with another kind of attention.
"""

import keras
from keras import ops

from sagan_tf.layers import SelfAttention
from sagan_tf.models.stack import apply_stack, build_stack


@keras.saving.register_keras_serializable(package="sagan_tf")
class ConvolvedSelfAttention(SelfAttention):
    """`SelfAttention` whose positions see their neighbours before they are compared.

    Each 1x1 convolution of `SelfAttention` is a 4x4 one here, with batch normalization
    and ReLU after it. It normalizes by the batch's statistics in training and by the
    moving ones otherwise. Arguments and output are those of `SelfAttention`.
    """

    kernel_size = 4

    def _convolution(self, name, index, filters):
        return keras.Sequential(
            [
                super()._convolution(name, index, filters),
                _batch_normalization(self.dtype_policy),
                keras.layers.ReLU(dtype=self.dtype_policy),
            ],
            name=name,
        )

    def _apply(self, convolution, inputs, training):
        return convolution(inputs, training=training)


@keras.saving.register_keras_serializable(package="sagan_tf")
class InfoGANGenerator(keras.Model):
    """Turns latents into small images by two dense layers, attention, convolutions.

    Dense layers of `16 * width` and of a map's size make a map of `2 * width` channels
    at a quarter of the image's resolution, which goes through attention; a 4x4 stride
    2 transposed convolution doubles it with `width` channels. All are followed by
    batch normalization and ReLU. Another one gives the image.

    Its last activation is a sigmoid, for pixels in `[0, 1]`. In `[-1, 1]`, which all
    images here are in, that is `2 sigmoid(x) - 1 = tanh(x / 2)`.

    Args:
        image_size: Multiple of 4, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, channels of the largest map.
        latent_dim: Positive integer, length of a latent vector.
        attention_resolutions: `(image_size // 4,)`, also by default, or `()` for none.

    Call arguments:
        latents: Float `[batch, latent_dim]`, uniform in `[-1, 1)` in the original.
        training: Boolean, whether batch statistics are used and move.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: images, float32 `[batch, image_size, image_size, channels]` in `[-1, 1]`;
    with `return_attention_scores=True` a pair of them and a dict with
    `attention_7x7`, float32 `[batch, 49, 49]` at 28 px.

    Raises:
        ValueError: for a size, channel count, width or resolution it cannot have.
    """

    def __init__(
        self,
        image_size=28,
        channels=1,
        width=64,
        latent_dim=62,
        attention_resolutions=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.attention_resolutions = _check_arguments(
            image_size, channels, width, attention_resolutions
        )
        if latent_dim < 1:
            raise ValueError(
                f"`latent_dim` must be positive. Received: latent_dim={latent_dim}"
            )
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.latent_dim = latent_dim

        resolution = image_size // 4
        policy = self.dtype_policy
        self.stack = [
            _dense(16 * width, policy, "dense_1"),
            _batch_normalization(policy),
            keras.layers.ReLU(dtype=policy),
            _dense(resolution**2 * 2 * width, policy, "dense_2"),
            _batch_normalization(policy),
            keras.layers.ReLU(dtype=policy),
            keras.layers.Reshape((resolution, resolution, 2 * width), dtype=policy),
            *_attention(self.attention_resolutions, policy),
            _transposed_convolution(width, policy, "conv_transpose"),
            _batch_normalization(policy),
            keras.layers.ReLU(dtype=policy),
        ]
        self.to_image = _transposed_convolution(channels, policy, "to_image")

    def build(self, latents_shape):
        self.to_image.build(build_stack(self.stack, tuple(latents_shape)))

    def call(self, latents, training=False, return_attention_scores=False):
        x, scores = apply_stack(self.stack, latents, training)
        images = ops.tanh(ops.cast(self.to_image(x), "float32") / 2)
        return (images, scores) if return_attention_scores else images

    def compute_output_shape(self, latents_shape):
        return (latents_shape[0], self.image_size, self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "channels": self.channels,
            "width": self.width,
            "latent_dim": self.latent_dim,
            "attention_resolutions": self.attention_resolutions,
        }


@keras.saving.register_keras_serializable(package="sagan_tf")
class InfoGANDiscriminator(keras.Model):
    """Tells real small images from generated ones: the generator backwards.

    4x4 stride 2 convolutions of `width` and `2 * width` channels, attention, and dense
    layers of `16 * width` and 1, with LeakyReLU 0.2, and batch normalization on all but
    the first and the last. Real and generated images are normalized by the statistics
    of their own batches.

    Args:
        image_size: Multiple of 4, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, channels of the largest map.
        attention_resolutions: `(image_size // 4,)`, also by default, or `()` for none.

    Call arguments:
        images: Float `[batch, image_size, image_size, channels]` in `[-1, 1]`; what the
            layers see is in `[0, 1]`, as in the original.
        training: Boolean, whether batch statistics are used and move.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: logits, float32 `[batch]`, high for real; with
    `return_attention_scores=True` a pair of them and a dict with `attention_7x7`,
    float32 `[batch, 49, 49]` at 28 px.

    Raises:
        ValueError: for a size, channel count, width or resolution it cannot have.
    """

    def __init__(
        self,
        image_size=28,
        channels=1,
        width=64,
        attention_resolutions=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.attention_resolutions = _check_arguments(
            image_size, channels, width, attention_resolutions
        )
        self.image_size = image_size
        self.channels = channels
        self.width = width

        policy = self.dtype_policy
        self.stack = [
            keras.layers.Rescaling(0.5, offset=0.5, dtype=policy),
            _convolution(width, policy, "conv_1"),
            keras.layers.LeakyReLU(0.2, dtype=policy),
            _convolution(2 * width, policy, "conv_2"),
            _batch_normalization(policy),
            keras.layers.LeakyReLU(0.2, dtype=policy),
            *_attention(self.attention_resolutions, policy),
            keras.layers.Flatten(dtype=policy),
            _dense(16 * width, policy, "dense"),
            _batch_normalization(policy),
            keras.layers.LeakyReLU(0.2, dtype=policy),
        ]
        self.to_logit = _dense(1, policy, "to_logit")

    def build(self, images_shape):
        self.to_logit.build(build_stack(self.stack, tuple(images_shape)))

    def call(self, images, training=False, return_attention_scores=False):
        x, scores = apply_stack(self.stack, images, training)
        logits = ops.reshape(ops.cast(self.to_logit(x), "float32"), (-1,))
        return (logits, scores) if return_attention_scores else logits

    def compute_output_shape(self, images_shape):
        return (images_shape[0],)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "channels": self.channels,
            "width": self.width,
            "attention_resolutions": self.attention_resolutions,
        }


# The original's start: N(0, 0.02), cut off at two deviations for convolutions.


def _dense(units, dtype, name):
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        dtype=dtype,
        name=name,
    )


def _convolution(filters, dtype, name):
    return keras.layers.Conv2D(
        filters,
        kernel_size=4,
        strides=2,
        padding="same",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _transposed_convolution(filters, dtype, name):
    return keras.layers.Conv2DTranspose(
        filters,
        kernel_size=4,
        strides=2,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _batch_normalization(dtype):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype)


def _attention(resolutions, dtype):
    return [
        ConvolvedSelfAttention(
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            dtype=dtype,
            name=f"attention_{resolution}x{resolution}",
        )
        for resolution in resolutions
    ]


def _check_arguments(image_size, channels, width, attention_resolutions):
    """Raises for what the networks cannot have; returns attention's resolutions."""
    if image_size < 4 or image_size % 4:
        raise ValueError(
            f"`image_size` must be a multiple of 4. Received: image_size={image_size}"
        )
    if channels not in (1, 3, 4):
        raise ValueError(
            f"`channels` must be one of 1, 3, 4. Received: channels={channels}"
        )
    if width < 4:  # attention's queries have a quarter of it
        raise ValueError(f"`width` must be at least 4. Received: width={width}")
    only = (image_size // 4,)
    if attention_resolutions is None:
        return only
    if tuple(attention_resolutions) not in (only, ()):
        raise ValueError(
            f"At {image_size} px, attention can be at {only[0]}. "
            f"Received: attention_resolutions={tuple(attention_resolutions)}"
        )
    return tuple(attention_resolutions)
