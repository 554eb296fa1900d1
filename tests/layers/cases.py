"""The layers that `test_contract` tests, and the arguments that they must refuse.

A new layer needs cases here that differ in each of its arguments.
"""

import numpy as np
from keras import layers

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    DiscriminatorBlock,
    GeneratorBlock,
    PoolingConv2D,
    ReflectionConv2D,
    ResidualBlock,
    SelfAttention,
    SpectralNormalization,
    UpsamplingConv2D,
)
from sagan_tf.layers.conv2d import Conv2D, Conv2DTranspose
from sagan_tf.models.infogan import ConvolvedSelfAttention
from tests.backends import BACKEND
from tests.contract import Case


def maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


# Keras synchronizes batch statistics under TensorFlow only.
SYNCHRONIZED = BACKEND == "tensorflow"
MAP = maps(2, 4, 6, 16)
SMALL_MAP = maps(2, 6, 6, 5)
CLASSES = np.array([0, 2, 1, 1], np.int32)
WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(3), 4).astype("float32")

CASES = {
    "conv": Case(
        lambda **k: Conv2D(6, 4, strides=2, padding="same", **k),
        (maps(2, 8, 8, 4),),
        trainable=16 * 4 * 6 + 6,
    ),
    "conv_transpose": Case(
        lambda **k: Conv2DTranspose(6, 4, strides=2, padding="same", **k),
        (maps(2, 4, 4, 5),),
        trainable=16 * 5 * 6 + 6,
    ),
    "spectral_conv": Case(
        lambda **k: SpectralNormalization(layers.Conv2D(6, 3, **k)),
        (maps(2, 8, 8, 4),),
        trainable=9 * 4 * 6 + 6,
        state=6,
    ),
    "spectral_conv_transpose": Case(
        lambda **k: SpectralNormalization(layers.Conv2DTranspose(6, 4, 2, **k)),
        (maps(2, 4, 4, 5),),
        trainable=16 * 5 * 6 + 6,
        state=6,
    ),
    "spectral_dense": Case(
        lambda **k: SpectralNormalization(
            layers.Dense(7, **k), power_iterations=3, axis=-2, epsilon=1e-8
        ),
        (maps(3, 5),),
        trainable=5 * 7 + 7,
        state=5,
    ),
    "spectral_embedding": Case(
        lambda **k: SpectralNormalization(layers.Embedding(9, 4, **k)),
        (np.array([0, 3, 8], np.int32),),
        trainable=9 * 4,
        state=4,
    ),
    # Query and key 16 -> 2, value 16 -> 16, gamma. The scores of a query sum to 1, so
    # adding the same to all its logits, as the keys' bias does, changes nothing.
    "attention": Case(
        lambda **k: SelfAttention(**k),
        (MAP,),
        trainable=2 * (16 * 2 + 2) + 16 * 16 + 16 + 1,
        no_gradient=("key/bias",),
    ),
    "attention_pooled": Case(
        lambda **k: SelfAttention(
            pool_size=2,
            value_reduction=2,
            use_output_projection=True,
            use_bias=False,
            **k,
        ),
        (MAP,),
        trainable=2 * 16 * 2 + 2 * 16 * 8 + 1,
    ),
    "attention_spectral": Case(
        lambda **k: SelfAttention(
            spectral_normalization=True, spectral_norm_epsilon=1e-8, **k
        ),
        (MAP,),
        trainable=2 * (16 * 2 + 2) + 16 * 16 + 16 + 1,
        state=2 + 2 + 16,
        no_gradient=("key/bias",),
    ),
    "attention_chunked": Case(
        lambda **k: SelfAttention(key_reduction=4, chunk_size=5, **k),
        (MAP,),
        trainable=2 * (16 * 4 + 4) + 16 * 16 + 16 + 1,
        no_gradient=("key/bias",),
        tolerance=0.05,
    ),
    "attention_over_queries": Case(
        lambda **k: SelfAttention(
            key_reduction=4,
            normalize_over="queries",
            kernel_initializer="he_normal",
            bias_initializer="random_normal",
            **k,
        ),
        (MAP,),
        trainable=2 * (16 * 4 + 4) + 16 * 16 + 16 + 1,
        no_gradient=("query/bias",),
        tolerance=0.1,
    ),
    "attention_convolved": Case(
        lambda **k: ConvolvedSelfAttention(key_reduction=4, use_bias=False, **k),
        (MAP,),
        trainable=2 * (16 * 16 * 4 + 2 * 4) + 16 * 16 * 16 + 2 * 16 + 1,
        state=2 * (4 + 4 + 16),
        tolerance=0.1,
    ),
    "attention_convolved_synchronized": Case(
        lambda **k: ConvolvedSelfAttention(
            key_reduction=4,
            use_bias=False,
            synchronized_batch_norm=SYNCHRONIZED,
            **k,
        ),
        (MAP,),
        trainable=2 * (16 * 16 * 4 + 2 * 4) + 16 * 16 * 16 + 2 * 16 + 1,
        state=2 * (4 + 4 + 16),
        tolerance=0.1,
    ),
    "conditional": Case(
        lambda **k: ConditionalBatchNormalization(3, **k),
        (maps(4, 3, 5, 6), CLASSES),
        trainable=2 * 3 * 6,
        state=2 * 6,
    ),
    "conditional_spectral": Case(
        lambda **k: ConditionalBatchNormalization(
            4,
            momentum=0.8,
            epsilon=1e-3,
            synchronized=SYNCHRONIZED,
            spectral_normalization=True,
            spectral_norm_epsilon=1e-8,
            **k,
        ),
        (maps(4, 3, 5, 6), CLASSES),
        trainable=2 * 4 * 6,
        state=2 * 6 + 2 * 6,
    ),
    "conditional_weights": Case(
        lambda **k: ConditionalBatchNormalization(3, **k),
        (maps(4, 6), WEIGHTS),
        trainable=2 * 3 * 6,
        state=2 * 6,
    ),
    "generator_block": Case(
        lambda **k: GeneratorBlock(4, **k),
        (SMALL_MAP,),
        trainable=2 * 5 + 9 * 5 * 4 + 4 + 2 * 4 + 9 * 4 * 4 + 4 + 5 * 4 + 4,
        state=2 * 5 + 2 * 4 + 3 * 4,
    ),
    "generator_block_conditional": Case(
        lambda **k: GeneratorBlock(
            3,
            num_classes=3,
            spectral_normalization=False,
            spectral_norm_epsilon=1e-8,
            reflection_padding=True,
            kernel_initializer="orthogonal",
            batch_norm_momentum=0.5,
            batch_norm_epsilon=1e-3,
            synchronized_batch_norm=SYNCHRONIZED,
            conditional_spectral_normalization=True,
            **k,
        ),
        (maps(4, 6, 6, 5), CLASSES),
        trainable=2 * 3 * (5 + 3) + 9 * 5 * 3 + 3 + 9 * 3 * 3 + 3 + 5 * 3 + 3,
        state=2 * (2 * 5 + 2 * 3),
    ),
    "discriminator_block": Case(
        lambda **k: DiscriminatorBlock(4, **k),
        (SMALL_MAP,),
        trainable=9 * 5 * 4 + 4 + 9 * 4 * 4 + 4 + 5 * 4 + 4,
        state=3 * 4,
    ),
    "discriminator_block_first": Case(
        lambda **k: DiscriminatorBlock(
            4, first=True, reflection_padding=True, spectral_norm_epsilon=1e-8, **k
        ),
        (SMALL_MAP,),
        trainable=9 * 5 * 4 + 4 + 9 * 4 * 4 + 4 + 5 * 4 + 4,
        state=3 * 4,
    ),
    "discriminator_block_last": Case(
        lambda **k: DiscriminatorBlock(
            5,
            downsample=False,
            slope=0.2,
            spectral_normalization=False,
            kernel_initializer="orthogonal",
            **k,
        ),
        (SMALL_MAP,),
        trainable=2 * (9 * 5 * 5 + 5),
    ),
    "residual_block": Case(
        lambda **k: ResidualBlock(3, **k),
        (SMALL_MAP,),
        trainable=9 * 5 * 3 + 3 + 9 * 3 * 5 + 5,
        state=3 + 5,
    ),
    "residual_block_plain": Case(
        lambda **k: ResidualBlock(
            2,
            spectral_normalization=False,
            spectral_norm_epsilon=1e-8,
            reflection_padding=True,
            kernel_initializer="orthogonal",
            **k,
        ),
        (SMALL_MAP,),
        trainable=9 * 5 * 2 + 2 + 9 * 2 * 5 + 5,
    ),
    "reflection_conv": Case(
        lambda **k: ReflectionConv2D(4, 3, **k), (SMALL_MAP,), trainable=9 * 5 * 4 + 4
    ),
    # Large enough to be computed as one with the resampling.
    "upsampling_conv": Case(
        lambda **k: UpsamplingConv2D(4, 3, **k),
        (maps(2, 16, 18, 5),),
        trainable=9 * 5 * 4 + 4,
    ),
    "pooling_conv": Case(
        lambda **k: PoolingConv2D(4, 3, **k),
        (maps(2, 16, 18, 5),),
        trainable=9 * 5 * 4 + 4,
    ),
}


def wrap(layer, **kwargs):
    return lambda: SpectralNormalization(layer(), **kwargs).build((2, 8, 8, 4))


def attend(shape, **kwargs):
    return lambda: SelfAttention(**kwargs).build(shape)


def upsample(**kwargs):
    return lambda: UpsamplingConv2D(4, **{"kernel_size": 3, **kwargs})


def pool(**kwargs):
    return lambda: PoolingConv2D(4, **{"kernel_size": 3, **kwargs})


# Mistakes and the messages they must give.
REFUSED = [
    (lambda: ConditionalBatchNormalization(0), "num_classes=0"),
    (wrap(lambda: layers.BatchNormalization()), "needs a layer with a kernel"),
    (wrap(lambda: layers.Dropout(0.5)), "needs a layer with a kernel"),
    (wrap(lambda: layers.DepthwiseConv2D(3)), "depthwise"),
    (wrap(lambda: layers.SeparableConv2D(4, 3)), "separable convolution"),
    (wrap(lambda: SpectralNormalization(layers.Dense(2))), "already: wrap its layer"),
    (wrap(lambda: layers.SimpleRNN(4)), "kernel"),
    (wrap(lambda: layers.Dense(2), power_iterations=0), "power_iterations=0"),
    (wrap(lambda: layers.Dense(2), power_iterations=1.5), "power_iterations=1.5"),
    (wrap(lambda: layers.Dense(2), epsilon=-1.0), "epsilon=-1.0"),
    (wrap(lambda: layers.Dense(2), epsilon=None), "epsilon=None"),
    (wrap(lambda: layers.Dense(2), axis=2), "axis=2"),
    (wrap(lambda: layers.Dense(2), axis="1"), "axis='1'"),
    (lambda: SpectralNormalization(layers.Dense(2)).fold(), "call it once"),
    (attend((2, 4, 4, 7)), "key_reduction=8 needs at least"),
    (attend((2, 4, 5, 16), pool_size=2), "pool_size=2 needs a map"),
    (attend((2, 4, 16)), "feature map"),
    (attend((2, 4, 4, None)), "known number of channels"),
    (attend(None, key_reduction=0), "key_reduction=0"),
    (attend(None, pool_size=1.5), "pool_size=1.5"),
    (attend(None, pool_size="2"), "pool_size='2'"),
    (attend(None, pool_size=True), "pool_size=True"),
    (attend(None, value_reduction=2), "value_reduction=2"),
    (attend(None, normalize_over="values"), "normalize_over='values'"),
    (attend(None, spectral_norm_epsilon=-1.0), "spectral_norm_epsilon=-1.0"),
    (attend(None, chunk_size=0), "chunk_size=0"),
    (attend(None, chunk_size="all"), "chunk_size='all'"),
    (attend(None, chunk_size=4, normalize_over="queries"), "chunk_size=4"),
    (upsample(kernel_size=4), r"kernel_size=\(4, 4\)"),
    (upsample(padding="valid"), "padding=valid"),
    (pool(strides=2), r"strides=\(2, 2\)"),
    (pool(dilation_rate=2), r"dilation_rate=\(2, 2\)"),
    (pool(data_format="channels_first"), "channels_first"),
]
