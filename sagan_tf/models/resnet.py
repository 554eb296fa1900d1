"""The paper's residual networks, with or without classes, from 32 to 512 px.

At 128 px and width 64 they are those of the paper and of its official code,
brain-research/self-attention-gan.
"""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers import (
    DiscriminatorBlock,
    GeneratorBlock,
    ResidualBlock,
    SelfAttention,
)
from sagan_tf.layers.convolution import convolution, normalize_spectrally
from sagan_tf.models.network import Discriminator, Generator, Network, check_choice
from sagan_tf.types import Shape, Tensor

# Channels after each block, in multiples of the width. The generator's first number is
# for its 4x4 map; each of its blocks doubles the resolution. The discriminator's blocks
# halve it, except for the last one (at 32 px, the last two).
GENERATOR_CHANNELS = {
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
DISCRIMINATOR_CHANNELS = {
    32: (2, 2, 2, 2),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
    512: (1, 1, 2, 4, 8, 8, 16, 16),
}
INITIALIZERS = {
    "xavier": keras.initializers.GlorotUniform,
    "orthogonal": keras.initializers.Orthogonal,
    "normal": lambda: keras.initializers.RandomNormal(stddev=0.02),
}
ATTENTION: dict[str, dict[str, Any]] = {
    "pooled": {"pool_size": 2, "value_reduction": 2},
    "full": {"pool_size": 1, "value_reduction": 2},
    "residual": {},  # a residual block instead
}


class _ResNet(Network):
    """What the two networks share.

    Args:
        attention: `"pooled"`, as in the official code: keys and values are max-pooled
            2x2, values have half the channels, an output projection follows, and there
            are no biases; `"full"`, the same without pooling; or `"residual"`, a
            `ResidualBlock` of about as many weights in the place of attention, for
            comparison.
        spectral_normalization: Boolean.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        reflection_padding: Boolean, whether the 3x3 convolutions pad by reflection.
        initializer: Kernel initializer: `"xavier"`, `"orthogonal"` or `"normal"`,
            N(0, 0.02).
        **kwargs: Arguments of `Generator` or `Discriminator`.
    """

    image_sizes = tuple(GENERATOR_CHANNELS)

    def __init__(
        self,
        attention: str,
        spectral_normalization: bool,
        spectral_norm_epsilon: float,
        reflection_padding: bool,
        initializer: str,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_choice("attention", attention, ATTENTION)
        check_choice("initializer", initializer, INITIALIZERS)
        self.attention = attention
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.initializer = initializer

    @classmethod
    def default_attention(cls, image_size: int) -> tuple[int, ...]:
        return (16,) if image_size == 32 else (32,)

    def _block_arguments(self) -> dict[str, Any]:
        return {
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "reflection_padding": self.reflection_padding,
            "kernel_initializer": INITIALIZERS[self.initializer](),
            "dtype": self.dtype_policy,
        }

    def _dense(self, units: int, name: str) -> Any:
        layer = keras.layers.Dense(
            units,
            kernel_initializer=INITIALIZERS[self.initializer](),
            dtype=self.dtype_policy,
            name=name,
        )
        return normalize_spectrally(self, layer)

    def _attention(self, resolution: int, channels: int) -> Any:
        arguments = {
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "kernel_initializer": INITIALIZERS[self.initializer](),
            "dtype": self.dtype_policy,
        }
        if self.attention == "residual":
            # Attention has C * C * (1/8 + 1/8 + 1/2 + 1/2) weights.
            return ResidualBlock(
                max(1, round(1.25 * channels / (2 * 9))),
                reflection_padding=self.reflection_padding,
                name=f"residual_{resolution}x{resolution}",
                **arguments,
            )
        return SelfAttention(
            **ATTENTION[self.attention],
            use_output_projection=True,
            use_bias=False,
            name=f"attention_{resolution}x{resolution}",
            **arguments,
        )


@keras.saving.register_keras_serializable(package="sagan_tf")
class ResNetGenerator(_ResNet, Generator):
    """Generates images by residual blocks and attention.

    1. A dense layer makes a 4x4 map.
    2. `GeneratorBlock`s double the resolution up to that of the image. Classes enter by
       their conditional batch normalization alone.
    3. Batch normalization, ReLU, a 3x3 convolution and tanh make the image.

    Args:
        image_size: 32, 64, 128, 256 or 512, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, base channels: the unit of `GENERATOR_CHANNELS`.
        latent_dim: Positive integer, length of a latent vector.
        num_classes: Integer, 0 for a generator without classes.
        attention_resolutions: Resolutions, from 8 to `image_size`, of the maps that
            `SelfAttention` follows. The default is 32, and 16 at 32 px.
        attention: `"pooled"`, as in the official code: keys and values are max-pooled
            2x2, values have half the channels, an output projection follows, and there
            are no biases; `"full"`, the same without pooling; or `"residual"`, a
            `ResidualBlock` of about as many weights in the place of attention, for
            comparison.
        spectral_normalization: Boolean, for all layers but the last convolution.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        normalize_to_image: Boolean, whether the last convolution is spectrally
            normalized too.
        reflection_padding: Boolean, whether the 3x3 convolutions pad by reflection.
        initializer: Kernel initializer: `"xavier"`, `"orthogonal"` or `"normal"`,
            N(0, 0.02).
        batch_norm_momentum: Float in `[0, 1]`.
        last_batch_norm_momentum: Float in `[0, 1]`, momentum of the last batch
            normalization, or None for that of the others.
        batch_norm_epsilon: Small float added to the variance.
        synchronized_batch_norm: Boolean, whether all replicas share their batch
            statistics.
        conditional_spectral_normalization: Boolean, whether the tables of conditional
            batch normalization are spectrally normalized.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Generator`.

    Example:

    ```python
    generator = ResNetGenerator(image_size=128, num_classes=1000)
    images = generator(keras.random.normal((8, 128)), labels)  # [8, 128, 128, 3]
    ```
    """

    def __init__(
        self,
        image_size: int = 128,
        channels: int = 3,
        width: int = 64,
        latent_dim: int = 128,
        num_classes: int = 0,
        attention_resolutions: tuple[int, ...] | None = None,
        attention: str = "pooled",
        spectral_normalization: bool = True,
        spectral_norm_epsilon: float = 1e-12,
        normalize_to_image: bool = True,
        reflection_padding: bool = False,
        initializer: str = "xavier",
        batch_norm_momentum: float = 0.9,
        last_batch_norm_momentum: float | None = None,
        batch_norm_epsilon: float = 1e-5,
        synchronized_batch_norm: bool = False,
        conditional_spectral_normalization: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            latent_dim=latent_dim,
            num_classes=num_classes,
            attention_resolutions=attention_resolutions,
            attention=attention,
            spectral_normalization=spectral_normalization,
            spectral_norm_epsilon=spectral_norm_epsilon,
            reflection_padding=reflection_padding,
            initializer=initializer,
            **kwargs,
        )
        self.normalize_to_image = normalize_to_image
        self.batch_norm_momentum = batch_norm_momentum
        self.last_batch_norm_momentum = last_batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon
        self.synchronized_batch_norm = synchronized_batch_norm
        self.conditional_spectral_normalization = conditional_spectral_normalization
        self.kernel_initializer = INITIALIZERS[initializer]()

        block_arguments = {
            **self._block_arguments(),
            "num_classes": num_classes,
            "batch_norm_momentum": batch_norm_momentum,
            "batch_norm_epsilon": batch_norm_epsilon,
            "synchronized_batch_norm": synchronized_batch_norm,
            "conditional_spectral_normalization": conditional_spectral_normalization,
        }
        first, *others = (width * n for n in GENERATOR_CHANNELS[image_size])
        stack = [
            self._dense(16 * first, "dense"),
            keras.layers.Reshape((4, 4, first), dtype=self.dtype_policy),
        ]
        for resolution, filters in zip(
            self.map_resolutions(image_size), others, strict=True
        ):
            name = f"block_{resolution}x{resolution}"
            stack.append(GeneratorBlock(filters, name=name, **block_arguments))
            if resolution in self.attention_resolutions:
                stack.append(self._attention(resolution, filters))
        momentum = last_batch_norm_momentum
        stack += [
            keras.layers.BatchNormalization(
                momentum=batch_norm_momentum if momentum is None else momentum,
                epsilon=batch_norm_epsilon,
                synchronized=synchronized_batch_norm,
                dtype=self.dtype_policy,
                name="last_normalization",
            ),
            keras.layers.ReLU(dtype=self.dtype_policy),
        ]
        self.stack = stack
        self.to_image = convolution(
            self, channels, 3, "to_image", normalize=normalize_to_image
        )

    @classmethod
    def map_resolutions(cls, image_size: int) -> tuple[int, ...]:
        """Returns the resolution after each block: 8, 16, ... `image_size`."""
        blocks = len(GENERATOR_CHANNELS[image_size]) - 1
        return tuple(8 * 2**i for i in range(blocks))

    def split_inputs(
        self, inputs: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
        if labels is None:
            return inputs, {}
        blocks = (layer for layer in self.stack if isinstance(layer, GeneratorBlock))
        return inputs, {block.name: (labels,) for block in blocks}


@keras.saving.register_keras_serializable(package="sagan_tf")
class ResNetDiscriminator(_ResNet, Discriminator):
    """Tells real images from generated ones, for each class if there are classes.

    1. `DiscriminatorBlock`s halve the resolution. ReLU follows.
    2. The sum over the map's positions, `h`, gives
       `logit = dense(h) + h . embedding[label]`; see `Discriminator.project`. Without
       classes the second term is left out.

    Args:
        image_size: 32, 64, 128, 256 or 512, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, base channels: the unit of `DISCRIMINATOR_CHANNELS`.
        num_classes: Integer, 0 for a discriminator without classes.
        attention_resolutions: Resolutions; `SelfAttention` follows the first block of
            each. The default is 32, and 16 at 32 px.
        attention: `"pooled"`, `"full"` or `"residual"`; see `ResNetGenerator`.
        spectral_normalization: Boolean, for all layers.
        spectral_norm_epsilon: Small float, the epsilon of spectral normalization.
        reflection_padding: Boolean, whether the 3x3 convolutions pad by reflection.
        slope: Float, negative slope of the ReLUs; positive ones are leaky.
        initializer: Kernel initializer: `"xavier"`, `"orthogonal"` or `"normal"`,
            N(0, 0.02).
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments, output and errors: see `Discriminator`.

    Example:

    ```python
    discriminator = ResNetDiscriminator(image_size=128, num_classes=1000)
    logits = discriminator(images, labels)  # [B, 128, 128, 3], [B] -> [B]
    ```
    """

    def __init__(
        self,
        image_size: int = 128,
        channels: int = 3,
        width: int = 64,
        num_classes: int = 0,
        attention_resolutions: tuple[int, ...] | None = None,
        attention: str = "pooled",
        spectral_normalization: bool = True,
        spectral_norm_epsilon: float = 1e-12,
        reflection_padding: bool = False,
        slope: float = 0.0,
        initializer: str = "xavier",
        **kwargs: Any,
    ):
        super().__init__(
            image_size=image_size,
            channels=channels,
            width=width,
            num_classes=num_classes,
            attention_resolutions=attention_resolutions,
            attention=attention,
            spectral_normalization=spectral_normalization,
            spectral_norm_epsilon=spectral_norm_epsilon,
            reflection_padding=reflection_padding,
            initializer=initializer,
            **kwargs,
        )
        self.slope = slope

        block_arguments = {**self._block_arguments(), "slope": slope}
        stack: list[Any] = []
        previous, attention_left = image_size, set(self.attention_resolutions)
        for index, (resolution, n) in enumerate(
            zip(
                self.map_resolutions(image_size),
                DISCRIMINATOR_CHANNELS[image_size],
                strict=True,
            )
        ):
            stack.append(
                DiscriminatorBlock(
                    n * width,
                    downsample=resolution < previous,
                    first=index == 0,
                    name=f"block_{index + 1}_{resolution}x{resolution}",
                    **block_arguments,
                )
            )
            if resolution in attention_left:
                attention_left.remove(resolution)
                stack.append(self._attention(resolution, n * width))
            previous = resolution
        self.stack = stack
        self.to_logit = self._dense(1, "to_logit")
        if num_classes:
            self.embedding = self._embedding(n * width)

    @classmethod
    def map_resolutions(cls, image_size: int) -> tuple[int, ...]:
        """Returns the resolution after each block: halves, down to 4 (8 at 32 px)."""
        last = 8 if image_size == 32 else 4
        blocks = len(DISCRIMINATOR_CHANNELS[image_size])
        return tuple(max(last, image_size // 2 ** (i + 1)) for i in range(blocks))

    def build(self, images_shape: Shape, labels_shape: Shape | None = None) -> None:
        batch, *_, features = self._build_stack(images_shape, labels_shape)
        self.to_logit.build((batch, features))
        if self.embedding is not None:
            self.embedding.build((None,))

    def compute_logits(
        self, x: Tensor, labels: Tensor | None, training: bool
    ) -> Tensor:
        x = ops.leaky_relu(x, self.slope)
        # In float32: a sum over 16 positions, followed by one over a thousand channels.
        features = ops.sum(ops.cast(x, "float32"), axis=(1, 2))
        logits = super().compute_logits(features, labels, training)
        if self.num_classes:
            logits += self.project(features, labels, training)
        return logits

    def _embedding(self, features: int) -> Any:
        layer = keras.layers.Embedding(
            self.num_classes,
            features,
            INITIALIZERS[self.initializer](),
            dtype=self.dtype_policy,
            name="embedding",
        )
        return normalize_spectrally(self, layer)
