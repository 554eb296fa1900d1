"""Layers for any Keras model, written in `keras.ops` for every Keras backend."""

from sagan_tf.layers.conditional_batch_normalization import (
    ConditionalBatchNormalization,
)
from sagan_tf.layers.discriminator_block import DiscriminatorBlock
from sagan_tf.layers.generator_block import GeneratorBlock
from sagan_tf.layers.pooling_conv2d import PoolingConv2D
from sagan_tf.layers.reflection_conv2d import ReflectionConv2D
from sagan_tf.layers.residual_block import ResidualBlock
from sagan_tf.layers.self_attention import SelfAttention
from sagan_tf.layers.spectral_normalization import SpectralNormalization, fold_all
from sagan_tf.layers.upsampling_conv2d import UpsamplingConv2D

__all__ = [
    "ConditionalBatchNormalization",
    "DiscriminatorBlock",
    "GeneratorBlock",
    "PoolingConv2D",
    "ReflectionConv2D",
    "ResidualBlock",
    "SelfAttention",
    "SpectralNormalization",
    "UpsamplingConv2D",
    "fold_all",
]
