"""The best-known SAGAN: a DCGAN with attention, here for any image size 2^k.

At 64 px and width 64 the layers are those of heykeetae/Self-Attention-GAN (PyTorch).
Other image sizes have more or fewer blocks; the channels double with each halving of
the resolution. Classes, which the original does not have, enter the generator with the
latents and the discriminator by a projection.
"""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.layers.conv2d import Conv2D, Conv2DTranspose
from sagan_tf.models.network import Discriminator, Generator, Network, check_choice
from sagan_tf.types import Tensor

SMALLEST_MAP = 4


class _DCGAN(Network):
    """What the two networks share."""

    image_sizes = (32, 64, 128, 256)

    @classmethod
    def map_resolutions(cls, image_size: int) -> tuple[int, ...]:
        return tuple(size for size in (4, 8, 16, 32, 64, 128) if size < image_size)

    def _attention(self, resolution: int, channels: int) -> list[Any]:
        if resolution not in self.attention_resolutions:
            return []
        return [
            SelfAttention(
                **_initializers(channels),
                dtype=self.dtype_policy,
                name=f"attention_{resolution}x{resolution}",
            )
        ]


@keras.saving.register_keras_serializable(package="sagan_tf")
class DCGANGenerator(_DCGAN, Generator):
    """Generates images by transposed convolutions and self-attention.

    1. A 4x4 valid transposed convolution makes a 4x4 map of `width * image_size / 8`
       channels of the latents and, with classes, the label as a one-hot vector (as
       [Mirza and Osindero, 2014](https://arxiv.org/abs/1411.1784)).
    2. Each 4x4 transposed convolution with stride 2 doubles the resolution and halves
       the channels, down to `width`. Batch normalization, ReLU and, at some
       resolutions, self-attention follow each transposed convolution.
    3. A last transposed convolution, neither batch nor spectrally normalized, and tanh
       make the image.

    Args:
        image_size: 32, 64, 128 or 256, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, base channels: those at the highest resolution.
        latent_dim: Positive integer, length of a latent vector.
        num_classes: Integer, 0 for a generator without classes.
        attention_resolutions: Resolutions, from 4 to `image_size / 2`, of the maps that
            `SelfAttention` follows. The default is 16 and, above 32 px, 32.
        spectral_normalization: Boolean, whether all transposed convolutions but the
            last are spectrally normalized.
        spectral_norm_axis: `"output"` normalizes a transposed convolution over its
            output axis; `"input"` over its input axis, as heykeetae's PyTorch
            checkpoints need.
        synchronized_batch_norm: Boolean, whether all replicas share their batch
            statistics.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Generator`.

    Example:

    ```python
    generator = DCGANGenerator(image_size=64)
    images = generator(keras.random.normal((16, 128)))  # [16, 64, 64, 3] in [-1, 1]
    ```
    """

    def __init__(
        self,
        image_size: int = 64,
        channels: int = 3,
        width: int = 64,
        latent_dim: int = 128,
        num_classes: int = 0,
        attention_resolutions: tuple[int, ...] | None = None,
        spectral_normalization: bool = True,
        spectral_norm_axis: str = "output",
        synchronized_batch_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            latent_dim=latent_dim,
            num_classes=num_classes,
            attention_resolutions=attention_resolutions,
            **kwargs,
        )
        check_choice("spectral_norm_axis", spectral_norm_axis, ("output", "input"))
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_axis = spectral_norm_axis
        self.synchronized_batch_norm = synchronized_batch_norm

        shape = (1, 1, latent_dim + num_classes)
        stack = [keras.layers.Reshape(shape, dtype=self.dtype_policy)]
        resolution = SMALLEST_MAP
        while resolution < image_size:
            filters = width * image_size // (2 * resolution)
            stack += [
                self._upsampling(filters, resolution),
                keras.layers.BatchNormalization(
                    momentum=0.9,
                    epsilon=1e-5,
                    synchronized=synchronized_batch_norm,
                    dtype=self.dtype_policy,
                    name=f"bn_{resolution}x{resolution}",
                ),
                keras.layers.ReLU(dtype=self.dtype_policy),
                *self._attention(resolution, filters),
            ]
            resolution *= 2
        self.stack = stack
        self.to_image = self._transposed_convolution(channels, 2, "to_image")

    def split_inputs(
        self, inputs: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
        if labels is None:
            return inputs, {}
        if len(labels.shape) == 1:
            labels = ops.one_hot(labels, self.num_classes)
        labels = ops.cast(labels, inputs.dtype)
        return ops.concatenate([inputs, labels], axis=-1), {}

    @classmethod
    def default_attention(cls, image_size: int) -> tuple[int, ...]:
        return (16, 32) if image_size > 32 else (16,)

    def _upsampling(self, filters: int, resolution: int) -> Any:
        size = f"{resolution}x{resolution}"
        strides = 1 if resolution == SMALLEST_MAP else 2
        layer = self._transposed_convolution(filters, strides, f"conv_{size}")
        if not self.spectral_normalization:
            return layer
        axis = -2 if self.spectral_norm_axis == "output" else -1
        return SpectralNormalization(layer, axis=axis, name=f"sn_{size}")

    def _transposed_convolution(self, filters: int, strides: int, name: str) -> Any:
        # PyTorch counts the fan-in of a transposed convolution on its output channels.
        return Conv2DTranspose(
            filters,
            kernel_size=4,
            strides=strides,
            padding="valid" if strides == 1 else "same",
            **_initializers(16 * filters),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )


@keras.saving.register_keras_serializable(package="sagan_tf")
class DCGANDiscriminator(_DCGAN, Discriminator):
    """Tells real images from generated ones by convolutions and self-attention.

    1. Each 4x4 convolution with stride 2, followed by LeakyReLU 0.1, halves the
       resolution, down to 4x4, and doubles the channels, beginning with `width`.
       Self-attention follows at some resolutions.
    2. A last 4x4 valid convolution, not spectrally normalized, gives the logit. With
       classes, the projection of the sum over the map's positions is added; see
       `Discriminator.project`.

    Args:
        image_size: 32, 64, 128 or 256, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, base channels: those at the highest resolution.
        num_classes: Integer, 0 for a discriminator without classes.
        attention_resolutions: Resolutions, from 4 to `image_size / 2`, of the maps that
            `SelfAttention` follows. The default is 8 and 4.
        spectral_normalization: Boolean, whether all convolutions but the last are
            spectrally normalized.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Discriminator`.

    Example:

    ```python
    logits = DCGANDiscriminator(image_size=64)(images)  # [B, 64, 64, 3] -> [B]
    ```
    """

    def __init__(
        self,
        image_size: int = 64,
        channels: int = 3,
        width: int = 64,
        num_classes: int = 0,
        attention_resolutions: tuple[int, ...] | None = None,
        spectral_normalization: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            num_classes=num_classes,
            attention_resolutions=attention_resolutions,
            **kwargs,
        )
        self.spectral_normalization = spectral_normalization

        stack: list[Any] = []
        inputs, filters, resolution = channels, width, image_size // 2
        while resolution >= SMALLEST_MAP:
            size = f"{resolution}x{resolution}"
            layer = self._convolution(inputs, filters, "same", f"conv_{size}")
            if spectral_normalization:
                layer = SpectralNormalization(layer, name=f"sn_{size}")
            stack += [
                layer,
                keras.layers.LeakyReLU(negative_slope=0.1, dtype=self.dtype_policy),
                *self._attention(resolution, filters),
            ]
            inputs, filters, resolution = filters, 2 * filters, resolution // 2
        self.stack = stack
        self.to_logit = self._convolution(inputs, 1, "valid", "to_logit")
        if num_classes:
            self.embedding = self._embedding(inputs)

    def compute_logits(
        self, x: Tensor, labels: Tensor | None, training: bool
    ) -> Tensor:
        logits = super().compute_logits(x, labels, training)
        if not self.num_classes:
            return logits
        features = ops.sum(ops.cast(x, "float32"), axis=(1, 2))
        return logits + self.project(features, labels, training)

    def _embedding(self, features: int) -> Any:
        layer = keras.layers.Embedding(
            self.num_classes,
            features,
            _initializers(16 * features)["kernel_initializer"],
            dtype=self.dtype_policy,
            name="embedding",
        )
        if self.spectral_normalization:
            layer = SpectralNormalization(layer, name="sn_embedding")
        return layer

    @classmethod
    def default_attention(cls, image_size: int) -> tuple[int, ...]:
        return (8, 4)

    def _convolution(self, inputs: int, filters: int, padding: str, name: str) -> Any:
        return Conv2D(
            filters,
            kernel_size=4,
            strides=2 if padding == "same" else 1,
            padding=padding,
            **_initializers(16 * inputs),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )


def _initializers(fan_in: int) -> dict[str, Any]:
    """PyTorch's default for kernel and bias: uniform in +-1/sqrt(fan_in)."""
    limit = fan_in**-0.5
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-limit, limit),
        "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
    }
