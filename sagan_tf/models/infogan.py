"""A SAGAN for MNIST: small networks of InfoGAN's shape with one attention block.

The layers are those of TwistedW/tensorflow-GANs (TensorFlow 1); the loss has no
information term. The networks have no spectral normalization, and their attention
block has larger convolutions than the paper's.
"""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers import SelfAttention
from sagan_tf.layers.conv2d import Conv2D, Conv2DTranspose
from sagan_tf.models.network import Discriminator, Generator, Network
from sagan_tf.types import Tensor


@keras.saving.register_keras_serializable(package="sagan_tf")
class ConvolvedSelfAttention(SelfAttention):
    """`SelfAttention` with larger convolutions, so that positions see their neighbors.

    Each 1x1 convolution of `SelfAttention` is a 4x4 convolution here, followed by batch
    normalization and ReLU. Outputs are those of `SelfAttention`.

    Args:
        synchronized_batch_norm: Boolean, whether all replicas share their batch
            statistics.
        **kwargs: Arguments of `SelfAttention`.
    """

    kernel_size = 4

    def __init__(self, synchronized_batch_norm: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.synchronized_batch_norm = synchronized_batch_norm

    def get_config(self) -> dict[str, Any]:
        own = {"synchronized_batch_norm": self.synchronized_batch_norm}
        return {**super().get_config(), **own}

    def _convolution(self, name: str, index: int, filters: int) -> Any:
        return keras.Sequential(
            [
                super()._convolution(name, index, filters),
                _batch_normalization(self, "bn"),
                keras.layers.ReLU(dtype=self.dtype_policy),
            ],
            name=name,
        )


class _InfoGAN(Network):
    """What the two networks share."""

    least_width = 4  # the queries of attention have a quarter of the width

    @classmethod
    def check_image_size(cls, image_size: int) -> None:
        if image_size < 4 or image_size % 4:
            raise ValueError(
                "`image_size` must be a multiple of 4. "
                f"Received: image_size={image_size}"
            )

    @classmethod
    def map_resolutions(cls, image_size: int) -> tuple[int, ...]:
        return (image_size // 4,)

    @classmethod
    def default_attention(cls, image_size: int) -> tuple[int, ...]:
        return (image_size // 4,)

    def _attention(self) -> list[Any]:
        return [
            ConvolvedSelfAttention(
                synchronized_batch_norm=self.synchronized_batch_norm,
                kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
                dtype=self.dtype_policy,
                name=f"attention_{resolution}x{resolution}",
            )
            for resolution in self.attention_resolutions
        ]


@keras.saving.register_keras_serializable(package="sagan_tf")
class InfoGANGenerator(_InfoGAN, Generator):
    """Generates small images by dense layers, attention and transposed convolutions.

    1. Dense layers of `16 * width` units and of a map's size make a map of `2 * width`
       channels at a quarter of the image's resolution. Attention follows.
    2. A 4x4 transposed convolution with stride 2 doubles the resolution. It has `width`
       channels. Batch normalization and ReLU follow all these layers.
    3. Another transposed convolution makes the image.

    The original ends in a sigmoid, for pixels in `[0, 1]`. In `[-1, 1]`, the range of
    all images here, this is `2 sigmoid(x) - 1 = tanh(x / 2)`.

    Args:
        image_size: Multiple of 4, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Integer, at least 4, base channels.
        latent_dim: Positive integer, length of a latent vector. The original draws
            latents uniformly from `[-1, 1)`.
        attention_resolutions: `(image_size // 4,)`, also the default, or `()` for none.
        synchronized_batch_norm: Boolean, whether all replicas share their batch
            statistics.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Generator`.
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        latent_dim: int = 62,
        attention_resolutions: tuple[int, ...] | None = None,
        synchronized_batch_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            latent_dim=latent_dim,
            attention_resolutions=attention_resolutions,
            **kwargs,
        )
        resolution = image_size // 4
        self.synchronized_batch_norm = synchronized_batch_norm
        policy = self.dtype_policy
        self.stack = [
            _dense(16 * width, policy, "dense_1"),
            _batch_normalization(self, "bn_1"),
            keras.layers.ReLU(dtype=policy),
            _dense(resolution**2 * 2 * width, policy, "dense_2"),
            _batch_normalization(self, "bn_2"),
            keras.layers.ReLU(dtype=policy),
            keras.layers.Reshape((resolution, resolution, 2 * width), dtype=policy),
            *self._attention(),
            _transposed_convolution(width, policy, "conv_transpose"),
            _batch_normalization(self, "bn_3"),
            keras.layers.ReLU(dtype=policy),
        ]
        self.to_image = _transposed_convolution(channels, policy, "to_image")

    def activate(self, x: Tensor) -> Tensor:
        return ops.tanh(x / 2)


@keras.saving.register_keras_serializable(package="sagan_tf")
class InfoGANDiscriminator(_InfoGAN, Discriminator):
    """Tells real small images from generated ones: the generator in reverse.

    4x4 convolutions with stride 2 of `width` and `2 * width` channels, attention, and
    dense layers of `16 * width` and 1 units. LeakyReLU 0.2 follows each layer but the
    last, batch normalization each but the first and the last. Real and generated images
    are normalized by the statistics of their own batches.

    Args:
        image_size: Multiple of 4, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Integer, at least 4, base channels.
        attention_resolutions: `(image_size // 4,)`, also the default, or `()` for none.
        synchronized_batch_norm: Boolean, whether all replicas share their batch
            statistics.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Discriminator`. The first layer maps images
    to `[0, 1]`, the range of the original.
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        attention_resolutions: tuple[int, ...] | None = None,
        synchronized_batch_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            attention_resolutions=attention_resolutions,
            **kwargs,
        )
        self.synchronized_batch_norm = synchronized_batch_norm
        policy = self.dtype_policy
        self.stack = [
            keras.layers.Rescaling(0.5, offset=0.5, dtype=policy),
            _convolution(width, policy, "conv_1"),
            keras.layers.LeakyReLU(0.2, dtype=policy),
            _convolution(2 * width, policy, "conv_2"),
            _batch_normalization(self, "bn_1"),
            keras.layers.LeakyReLU(0.2, dtype=policy),
            *self._attention(),
            keras.layers.Flatten(dtype=policy),
            _dense(16 * width, policy, "dense"),
            _batch_normalization(self, "bn_2"),
            keras.layers.LeakyReLU(0.2, dtype=policy),
        ]
        self.to_logit = _dense(1, policy, "to_logit")


# The original's initializers: N(0, 0.02), truncated at two standard deviations for
# convolutions.


def _dense(units: int, dtype: Any, name: str) -> Any:
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        dtype=dtype,
        name=name,
    )


def _convolution(filters: int, dtype: Any, name: str) -> Any:
    return Conv2D(
        filters,
        kernel_size=4,
        strides=2,
        padding="same",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _transposed_convolution(filters: int, dtype: Any, name: str) -> Any:
    return Conv2DTranspose(
        filters,
        kernel_size=4,
        strides=2,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _batch_normalization(owner: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        synchronized=owner.synchronized_batch_norm,
        dtype=owner.dtype_policy,
        name=name,
    )
