"""The paper's networks: residual, class-conditional or not, from 32 to 512 px.

At 128 px, with width 64, they are those of the paper and of its official code,
brain-research/self-attention-gan.
"""

import keras
from keras import ops

from sagan_tf.layers import (
    DiscriminatorBlock,
    GeneratorBlock,
    SelfAttention,
    SpectralNormalization,
)
from sagan_tf.layers.residual_blocks import apply_convolution, convolution
from sagan_tf.models.stack import apply_stack, build_stack

# Channels, in widths, after each block. A generator's first number is of its 4x4 map;
# each block doubles the resolution. A discriminator's blocks halve it down to the last
# but one (at 32 px, the last but two), which do not.
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
ATTENTION = {
    "pooled": {"pool_size": 2, "value_reduction": 2},
    "full": {"pool_size": 1, "value_reduction": 2},
}


@keras.saving.register_keras_serializable(package="sagan_tf")
class ResNetGenerator(keras.Model):
    """Turns latents, and classes, into images by residual blocks and attention.

    A dense layer makes a 4x4 map; `GeneratorBlock`s double it up to the image's size;
    batch normalization, ReLU and a 3x3 convolution give the image through tanh. Classes
    enter by conditional batch normalization alone.

    Args:
        image_size: 32, 64, 128, 256 or 512, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, the channels that `GENERATOR_CHANNELS` counts in; at
            64 px and above, those of the largest map.
        latent_dim: Positive integer, length of a latent vector.
        num_classes: Integer, 0 for a generator without classes.
        attention_resolutions: Resolutions, from 8 to `image_size`, after whose block
            comes `SelfAttention`; by default 32, and 16 at 32 px.
        attention: `"pooled"`, as in the official code: keys and values max-pooled 2x2,
            values of half the channels, an output convolution, no biases; or
            `"full"`, the same without pooling.
        spectral_normalization: Boolean, for all but the last convolution.
        spectral_norm_epsilon: Small float, its epsilon.
        normalize_last: Boolean, whether the last convolution is spectrally normalized
            too.
        reflection_padding: Boolean, for the 3x3 convolutions.
        initializer: `"xavier"`, `"orthogonal"` or `"normal"`, N(0, 0.02).
        normalization: Dict of arguments for batch normalization; see `GeneratorBlock`.
        last_momentum: Float, the momentum of the last batch normalization, or None for
            that of the others.

    Call arguments:
        latents: Float `[batch, latent_dim]`.
        labels: Integers `[batch]` in `[0, num_classes)`, where there are classes; or
            float `[batch, num_classes]`, for images between them.
        training: Boolean, whether batch statistics are used and state moves.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: images, float32 `[batch, image_size, image_size, channels]` in `[-1, 1]`;
    with `return_attention_scores=True` a pair of them and a dict with
    `attention_32x32`, float32 `[batch, 1024, 256]`, and so on.

    Raises:
        ValueError: for a setting it cannot have; for labels that are missing or
            superfluous.
    """

    def __init__(
        self,
        image_size=128,
        channels=3,
        width=64,
        latent_dim=128,
        num_classes=0,
        attention_resolutions=None,
        attention="pooled",
        spectral_normalization=True,
        spectral_norm_epsilon=1e-12,
        normalize_last=True,
        reflection_padding=False,
        initializer="xavier",
        normalization=None,
        last_momentum=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if attention_resolutions is None:
            attention_resolutions = (16,) if image_size == 32 else (32,)
        _check_arguments(
            image_size,
            channels,
            width,
            num_classes,
            attention_resolutions,
            _generator_resolutions(image_size),
            attention,
            initializer,
        )
        if latent_dim < 1:
            raise ValueError(
                f"`latent_dim` must be positive. Received: latent_dim={latent_dim}"
            )
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.attention_resolutions = tuple(attention_resolutions)
        self.attention = attention
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.normalize_last = normalize_last
        self.reflection_padding = reflection_padding
        self.initializer = initializer
        self.kernel_initializer = INITIALIZERS[initializer]()
        self.normalization = dict(normalization or {})
        self.last_momentum = last_momentum

        settings = _block_settings(self)
        first, *others = (width * n for n in GENERATOR_CHANNELS[image_size])
        self.stack = [
            _dense(self, 16 * first, "dense"),
            keras.layers.Reshape((4, 4, first), dtype=self.dtype_policy),
        ]
        for resolution, filters in zip(
            _generator_resolutions(image_size), others, strict=True
        ):
            self.stack.append(
                GeneratorBlock(
                    filters,
                    num_classes=num_classes,
                    normalization=self.normalization,
                    name=f"block_{resolution}x{resolution}",
                    **settings,
                )
            )
            if resolution in self.attention_resolutions:
                self.stack.append(_attention(self, resolution))
        last = {"momentum": 0.9, "epsilon": 1e-5, **self.normalization}
        last.pop("spectral_normalization", None)
        if last_momentum is not None:
            last["momentum"] = last_momentum
        self.stack += [
            keras.layers.BatchNormalization(
                **last, dtype=self.dtype_policy, name="last_normalization"
            ),
            keras.layers.ReLU(dtype=self.dtype_policy),
        ]
        self.to_image = convolution(
            self, channels, 3, "to_image", normalize=normalize_last
        )

    def build(self, latents_shape, labels_shape=None):
        self.to_image.build(build_stack(self.stack, tuple(latents_shape)))

    def call(self, latents, labels=None, training=False, return_attention_scores=False):
        _check_labels(self, labels)
        x, scores = apply_stack(self.stack, latents, training, labels)
        x = apply_convolution(self.to_image, x, training)
        images = ops.tanh(ops.cast(x, "float32"))
        return (images, scores) if return_attention_scores else images

    def compute_output_shape(self, latents_shape, labels_shape=None):
        return (latents_shape[0], self.image_size, self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            **_shared_config(self),
            "latent_dim": self.latent_dim,
            "normalize_last": self.normalize_last,
            "normalization": self.normalization,
            "last_momentum": self.last_momentum,
        }


@keras.saving.register_keras_serializable(package="sagan_tf")
class ResNetDiscriminator(keras.Model):
    """Tells real images from generated ones, class by class where there are classes.

    `DiscriminatorBlock`s halve the map, ReLU follows, and the sum over its positions,
    `h`, gives `logit = dense(h) + h . embedding[label]`: the projection of Miyato and
    Koyama. Without classes the second term is not there.

    Args:
        image_size: 32, 64, 128, 256 or 512, pixels a side.
        channels: 1, 3 or 4, image channels.
        width: Positive integer, the channels that `DISCRIMINATOR_CHANNELS` counts in.
        num_classes: Integer, 0 for a discriminator without classes.
        attention_resolutions: Resolutions after whose first block comes
            `SelfAttention`; by default 32, and 16 at 32 px.
        attention: `"pooled"` or `"full"`; see `ResNetGenerator`.
        spectral_normalization: Boolean, for every layer.
        spectral_norm_epsilon: Small float, its epsilon.
        reflection_padding: Boolean, for the 3x3 convolutions.
        negative_slope: Float, of the ReLUs; above 0 they are leaky.
        initializer: `"xavier"`, `"orthogonal"` or `"normal"`, N(0, 0.02).

    Call arguments:
        images: Float `[batch, image_size, image_size, channels]` in `[-1, 1]`.
        labels: Integers `[batch]` in `[0, num_classes)`, where there are classes.
        training: Boolean, whether state moves.
        return_attention_scores: Boolean, whether to return the maps too.

    Output: logits, float32 `[batch]`, high for real; with
    `return_attention_scores=True` a pair of them and a dict with
    `attention_32x32`, float32 `[batch, 1024, 256]`, and so on.

    Raises:
        ValueError: for a setting it cannot have; for labels that are missing or
            superfluous.

    Reference:
        [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637), the projection.
    """

    def __init__(
        self,
        image_size=128,
        channels=3,
        width=64,
        num_classes=0,
        attention_resolutions=None,
        attention="pooled",
        spectral_normalization=True,
        spectral_norm_epsilon=1e-12,
        reflection_padding=False,
        negative_slope=0.0,
        initializer="xavier",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if attention_resolutions is None:
            attention_resolutions = (16,) if image_size == 32 else (32,)
        _check_arguments(
            image_size,
            channels,
            width,
            num_classes,
            attention_resolutions,
            _discriminator_resolutions(image_size),
            attention,
            initializer,
        )
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.num_classes = num_classes
        self.attention_resolutions = tuple(attention_resolutions)
        self.attention = attention
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.reflection_padding = reflection_padding
        self.negative_slope = negative_slope
        self.initializer = initializer

        settings = _block_settings(self)
        self.stack = []
        previous, to_come = image_size, list(self.attention_resolutions)
        for index, (resolution, n) in enumerate(
            zip(
                _discriminator_resolutions(image_size),
                DISCRIMINATOR_CHANNELS[image_size],
                strict=True,
            )
        ):
            self.stack.append(
                DiscriminatorBlock(
                    n * width,
                    downsample=resolution < previous,
                    first=index == 0,
                    negative_slope=negative_slope,
                    name=f"block_{index + 1}_{resolution}x{resolution}",
                    **settings,
                )
            )
            if resolution in to_come:
                to_come.remove(resolution)
                self.stack.append(_attention(self, resolution))
            previous = resolution
        self.to_logit = _dense(self, 1, "to_logit")
        self.embedding = _embedding(self, n * width) if num_classes else None

    def build(self, images_shape, labels_shape=None):
        shape = build_stack(self.stack, tuple(images_shape))
        self.to_logit.build((shape[0], shape[-1]))
        if self.embedding is not None:
            self.embedding.build((None,))

    def call(self, images, labels=None, training=False, return_attention_scores=False):
        _check_labels(self, labels)
        x, scores = apply_stack(self.stack, images, training)
        x = ops.leaky_relu(x, self.negative_slope)
        # In float32: a sum of 16 positions and a thousand channels.
        features = ops.sum(ops.cast(x, "float32"), axis=(1, 2))
        logits = apply_convolution(self.to_logit, features, training)
        logits = ops.cast(ops.squeeze(logits, -1), "float32")
        if self.embedding is not None:
            rows = ops.cast(
                apply_convolution(self.embedding, labels, training), "float32"
            )
            logits += ops.sum(rows * features, axis=-1)
        return (logits, scores) if return_attention_scores else logits

    def compute_output_shape(self, images_shape, labels_shape=None):
        return (images_shape[0],)

    def get_config(self):
        return {
            **super().get_config(),
            **_shared_config(self),
            "negative_slope": self.negative_slope,
        }


def _generator_resolutions(image_size):
    """The resolution after each block: 8, 16, ... `image_size`."""
    return [
        8 * 2**i for i in range(len(GENERATOR_CHANNELS.get(image_size, [None])) - 1)
    ]


def _discriminator_resolutions(image_size):
    """The resolution after each block: halves, down to 4, or to 8 from 32 px."""
    last = 8 if image_size == 32 else 4
    blocks = len(DISCRIMINATOR_CHANNELS.get(image_size, ()))
    return [max(last, image_size // 2 ** (i + 1)) for i in range(blocks)]


def _block_settings(network):
    return {
        "spectral_normalization": network.spectral_normalization,
        "spectral_norm_epsilon": network.spectral_norm_epsilon,
        "reflection_padding": network.reflection_padding,
        "kernel_initializer": INITIALIZERS[network.initializer](),
        "dtype": network.dtype_policy,
    }


def _dense(network, units, name):
    layer = keras.layers.Dense(
        units,
        kernel_initializer=INITIALIZERS[network.initializer](),
        dtype=network.dtype_policy,
        name=name,
    )
    if not network.spectral_normalization:
        return layer
    return SpectralNormalization(
        layer, epsilon=network.spectral_norm_epsilon, name=f"{name}_sn"
    )


def _embedding(network, features):
    layer = keras.layers.Embedding(
        network.num_classes,
        features,
        INITIALIZERS[network.initializer](),
        dtype=network.dtype_policy,
        name="embedding",
    )
    if not network.spectral_normalization:
        return layer
    return SpectralNormalization(
        layer, epsilon=network.spectral_norm_epsilon, name="embedding_sn"
    )


def _attention(network, resolution):
    return SelfAttention(
        **ATTENTION[network.attention],
        use_output_projection=True,
        use_bias=False,
        spectral_normalization=network.spectral_normalization,
        spectral_norm_epsilon=network.spectral_norm_epsilon,
        kernel_initializer=INITIALIZERS[network.initializer](),
        dtype=network.dtype_policy,
        name=f"attention_{resolution}x{resolution}",
    )


def _shared_config(network):
    names = (
        *("image_size", "channels", "width", "num_classes"),
        *("attention_resolutions", "attention", "spectral_normalization"),
        *("spectral_norm_epsilon", "reflection_padding", "initializer"),
    )
    return {name: getattr(network, name) for name in names}


def _check_labels(network, labels):
    if network.num_classes and labels is None:
        raise ValueError(
            f"This {type(network).__name__} has {network.num_classes} classes and "
            "needs `labels`. Received: labels=None"
        )
    if labels is not None and not network.num_classes:
        raise ValueError(
            f"This {type(network).__name__} has no classes and takes no `labels`"
        )
    # Labels [batch, 1] would be broadcast, and in silence.
    mixed = isinstance(network, ResNetGenerator) and labels is not None
    shapes = [(None,), (None, network.num_classes)] if mixed else [(None,)]
    if labels is not None and (None, *labels.shape[1:]) not in shapes:
        raise ValueError(
            f"{type(network).__name__} takes `labels` of shape [batch]. "
            f"Received: labels of shape {tuple(labels.shape)}"
        )


def _check_arguments(
    image_size,
    channels,
    width,
    num_classes,
    attention_resolutions,
    resolutions,
    attention,
    initializer,
):
    if image_size not in GENERATOR_CHANNELS:
        raise ValueError(
            f"`image_size` must be one of {_join(GENERATOR_CHANNELS)}. "
            f"Received: image_size={image_size}"
        )
    if channels not in (1, 3, 4):
        raise ValueError(
            f"`channels` must be one of 1, 3, 4. Received: channels={channels}"
        )
    if width < 1:
        raise ValueError(f"`width` must be positive. Received: width={width}")
    if num_classes < 0 or num_classes == 1:
        raise ValueError(
            "`num_classes` must be 0, for none, or at least 2. "
            f"Received: num_classes={num_classes}"
        )
    for resolution in attention_resolutions:
        if resolution not in resolutions:
            raise ValueError(
                f"At {image_size} px, attention can be at "
                f"{_join(sorted(set(resolutions)))}. "
                f"Received: attention_resolutions={tuple(attention_resolutions)}"
            )
    if attention not in ATTENTION:
        raise ValueError(
            f"`attention` must be one of {_join(ATTENTION)}. "
            f"Received: attention={attention}"
        )
    if initializer not in INITIALIZERS:
        raise ValueError(
            f"`initializer` must be one of {_join(INITIALIZERS)}. "
            f"Received: initializer={initializer}"
        )


def _join(values):
    return ", ".join(map(str, values))
