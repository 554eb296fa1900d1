"""Layers written in `keras.ops` alone, for use in any Keras model."""

from sagan_tf.layers.conditional_batch_normalization import (
    ConditionalBatchNormalization,
)
from sagan_tf.layers.residual_blocks import DiscriminatorBlock, GeneratorBlock
from sagan_tf.layers.self_attention import SelfAttention
from sagan_tf.layers.spectral_normalization import SpectralNormalization

__all__ = [
    "ConditionalBatchNormalization",
    "DiscriminatorBlock",
    "GeneratorBlock",
    "SelfAttention",
    "SpectralNormalization",
]
