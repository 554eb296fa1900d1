"""A network as a list of layers, with the attention maps found on the way."""

import keras

from sagan_tf.layers import (
    DiscriminatorBlock,
    GeneratorBlock,
    SelfAttention,
    SpectralNormalization,
)

_WITH_STATE = (
    keras.layers.BatchNormalization,
    SpectralNormalization,
    DiscriminatorBlock,
)


def build_stack(stack, shape):
    """Builds the layers one after the other; returns the last one's output shape."""
    for layer in stack:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def apply_stack(stack, x, training, labels=None):
    """Runs `x` through the layers.

    Args:
        stack: List of layers.
        x: What the first one takes.
        training: Boolean, for the layers that have state.
        labels: Integers `[batch]`, for the blocks that are conditioned on classes.

    Returns:
        What the last one gives, and a dict of the attention scores, float32
        `[batch, N, M]`, by the name of their `SelfAttention`.
    """
    scores = {}
    for layer in stack:
        if isinstance(layer, SelfAttention):
            x, scores[layer.name] = layer(
                x, return_attention_scores=True, training=training
            )
        elif isinstance(layer, GeneratorBlock):
            x = layer(x, labels, training=training)
        elif isinstance(layer, _WITH_STATE):
            x = layer(x, training=training)
        else:
            x = layer(x)
    return x, scores
