"""The 64 px SAGAN most people know: a DCGAN with attention, at any size 2^k.

At 64 px, with width 64, the tables are those of the PyTorch seed
(heykeetae/Self-Attention-GAN). Other sizes have as many blocks more or fewer, and
the width doubles with each halving of the resolution.
"""

import keras
from keras import ops

from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.models.stack import apply_stack, build_stack

SMALLEST_MAP = 4
IMAGE_SIZES = (32, 64, 128, 256)
IMAGE_CHANNELS = (1, 3, 4)


@keras.saving.register_keras_serializable(package="sagan_tf")
class DCGANGenerator(keras.Model):
    """Turns latents into images by transposed convolutions and self-attention.

    A 4x4 valid transposed convolution makes a 4x4 map of
    `width * image_size / 8` channels; each 4x4 stride 2 transposed convolution
    after it doubles the resolution and halves the channels, down to `width`. All
    are followed by batch normalization and ReLU. A last one gives the image
    through tanh, without normalization.

    Args:
        image_size: 32, 64, 128 or 256, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, channels of the last and largest map.
        latent_dim: Positive integer, length of a latent vector.
        attention_resolutions: Resolutions, from 4 to `image_size / 2`, whose map
            goes through `SelfAttention`; by default 16 and, above 32 px, 32.
        spectral_normalization: Boolean, whether all transposed convolutions but
            the last are spectrally normalized.
        spectral_norm_axis: `"output"`, the kernel axis a transposed convolution
            should be normalized over, or `"input"`, which the seed's checkpoints
            were trained with.

    Call arguments:
        latents: Float `[batch, latent_dim]`, standard normal.
        training: Boolean, whether batch statistics are used and state moves.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: images, float32 `[batch, image_size, image_size, channels]` in
    `[-1, 1]`; with `return_attention_scores=True` a pair of them and a dict with
    `attention_16x16`, float32 `[batch, 256, 256]`, and so on.

    Raises:
        ValueError: for a size, channel count, width or resolution it cannot have.
    """

    def __init__(
        self,
        image_size=64,
        channels=3,
        width=64,
        latent_dim=128,
        attention_resolutions=None,
        spectral_normalization=True,
        spectral_norm_axis="output",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if attention_resolutions is None:
            attention_resolutions = (16, 32) if image_size > 32 else (16,)
        _check_arguments(image_size, channels, width, attention_resolutions)
        if spectral_norm_axis not in ("output", "input"):
            raise ValueError(
                '`spectral_norm_axis` must be "output" or "input". '
                f"Received: spectral_norm_axis={spectral_norm_axis}"
            )
        if latent_dim < 1:
            raise ValueError(
                f"`latent_dim` must be positive. Received: latent_dim={latent_dim}"
            )
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.latent_dim = latent_dim
        self.attention_resolutions = tuple(attention_resolutions)
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_axis = spectral_norm_axis

        self.stack = [keras.layers.Reshape((1, 1, latent_dim), dtype=self.dtype_policy)]
        inputs, resolution = latent_dim, SMALLEST_MAP
        while resolution < image_size:
            outputs = width * image_size // (2 * resolution)
            self.stack.append(self._upsampling(inputs, outputs, resolution))
            self.stack.append(
                keras.layers.BatchNormalization(
                    momentum=0.9,
                    epsilon=1e-5,
                    dtype=self.dtype_policy,
                    name=f"bn_{resolution}x{resolution}",
                )
            )
            self.stack.append(keras.layers.ReLU(dtype=self.dtype_policy))
            if resolution in self.attention_resolutions:
                self.stack.append(_attention(resolution, outputs, self.dtype_policy))
            inputs, resolution = outputs, 2 * resolution
        self.to_image = _transposed_convolution(
            inputs, channels, stride=2, dtype=self.dtype_policy, name="to_image"
        )

    def build(self, latents_shape):
        self.to_image.build(build_stack(self.stack, tuple(latents_shape)))

    def call(self, latents, training=False, return_attention_scores=False):
        x, scores = apply_stack(self.stack, latents, training)
        images = ops.tanh(ops.cast(self.to_image(x), "float32"))
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
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_axis": self.spectral_norm_axis,
        }

    def _upsampling(self, inputs, outputs, resolution):
        convolution = _transposed_convolution(
            inputs,
            outputs,
            stride=1 if resolution == SMALLEST_MAP else 2,
            dtype=self.dtype_policy,
            name=f"conv_{resolution}x{resolution}",
        )
        if not self.spectral_normalization:
            return convolution
        return SpectralNormalization(
            convolution,
            axis=-2 if self.spectral_norm_axis == "output" else -1,
            name=f"sn_{resolution}x{resolution}",
        )


@keras.saving.register_keras_serializable(package="sagan_tf")
class DCGANDiscriminator(keras.Model):
    """Tells real images from generated ones by convolutions and self-attention.

    4x4 stride 2 convolutions, each with LeakyReLU 0.1, halve the resolution down
    to 4x4 and double the channels, beginning with `width`; a last 4x4 valid
    convolution, not normalized, gives the logit.

    Args:
        image_size: 32, 64, 128 or 256, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, channels of the first and largest map.
        attention_resolutions: Resolutions, from 4 to `image_size / 2`, whose map
            goes through `SelfAttention`.
        spectral_normalization: Boolean, whether all convolutions but the last are
            spectrally normalized.

    Call arguments:
        images: Float `[batch, image_size, image_size, channels]` in `[-1, 1]`.
        training: Boolean, whether state moves.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: logits, float32 `[batch]`, high for real; with
    `return_attention_scores=True` a pair of them and a dict with
    `attention_8x8`, float32 `[batch, 64, 64]`, and so on.

    Raises:
        ValueError: for a size, channel count, width or resolution it cannot have.
    """

    def __init__(
        self,
        image_size=64,
        channels=3,
        width=64,
        attention_resolutions=(8, 4),
        spectral_normalization=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_arguments(image_size, channels, width, attention_resolutions)
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.attention_resolutions = tuple(attention_resolutions)
        self.spectral_normalization = spectral_normalization

        self.stack = []
        inputs, outputs, resolution = channels, width, image_size // 2
        while resolution >= SMALLEST_MAP:
            size = f"{resolution}x{resolution}"
            convolution = _convolution(
                inputs, outputs, "same", self.dtype_policy, f"conv_{size}"
            )
            if spectral_normalization:
                convolution = SpectralNormalization(convolution, name=f"sn_{size}")
            self.stack.append(convolution)
            self.stack.append(
                keras.layers.LeakyReLU(negative_slope=0.1, dtype=self.dtype_policy)
            )
            if resolution in self.attention_resolutions:
                self.stack.append(_attention(resolution, outputs, self.dtype_policy))
            inputs, outputs, resolution = outputs, 2 * outputs, resolution // 2
        self.to_logit = _convolution(inputs, 1, "valid", self.dtype_policy, "to_logit")

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
            "spectral_normalization": self.spectral_normalization,
        }


def _convolution(inputs, outputs, padding, dtype, name):
    kernel_initializer, bias_initializer = _seed_initializers(16 * inputs)
    return keras.layers.Conv2D(
        outputs,
        kernel_size=4,
        strides=2 if padding == "same" else 1,
        padding=padding,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _transposed_convolution(inputs, outputs, stride, dtype, name):
    # PyTorch counts a transposed convolution's fan-in on its output channels.
    kernel_initializer, bias_initializer = _seed_initializers(16 * outputs)
    return keras.layers.Conv2DTranspose(
        outputs,
        kernel_size=4,
        strides=stride,
        padding="valid" if stride == 1 else "same",
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _attention(resolution, channels, dtype):
    kernel_initializer, bias_initializer = _seed_initializers(channels)
    return SelfAttention(
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        dtype=dtype,
        name=f"attention_{resolution}x{resolution}",
    )


def _seed_initializers(fan_in):
    """PyTorch's default start of kernel and bias: uniform +-1/sqrt(fan_in)."""
    limit = fan_in**-0.5
    return (
        keras.initializers.RandomUniform(-limit, limit),
        keras.initializers.RandomUniform(-limit, limit),
    )


def _check_arguments(image_size, channels, width, attention_resolutions):
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"`image_size` must be one of {_join(IMAGE_SIZES)}. "
            f"Received: image_size={image_size}"
        )
    if channels not in IMAGE_CHANNELS:
        raise ValueError(
            f"`channels` must be one of {_join(IMAGE_CHANNELS)}. "
            f"Received: channels={channels}"
        )
    if width < 1:
        raise ValueError(f"`width` must be positive. Received: width={width}")
    maps = [size for size in (4, 8, 16, 32, 64, 128) if size < image_size]
    for resolution in attention_resolutions:
        if resolution not in maps:
            raise ValueError(
                f"At {image_size} px, attention can be at {_join(maps)}. "
                f"Received: attention_resolutions={tuple(attention_resolutions)}"
            )


def _join(numbers):
    return ", ".join(map(str, numbers))
