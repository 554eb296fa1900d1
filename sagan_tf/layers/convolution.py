"""How residual blocks, and the networks made of them, create their layers."""

from typing import Any

import keras

from sagan_tf.layers.conditional_batch_normalization import (
    ConditionalBatchNormalization,
)
from sagan_tf.layers.conv2d import Conv2D
from sagan_tf.layers.reflection_conv2d import ReflectionConv2D
from sagan_tf.layers.spectral_normalization import SpectralNormalization


def convolution(
    owner: Any,
    filters: int,
    kernel_size: int,
    name: str,
    normalize: bool = True,
    layer_class: Any = Conv2D,
) -> Any:
    """Returns a convolution that pads the map.

    Args:
        owner: Layer or model with the attributes `spectral_normalization`,
            `spectral_norm_epsilon`, `reflection_padding` and `kernel_initializer`.
        filters: Positive integer, output channels.
        kernel_size: Odd integer.
        name: String.
        normalize: Boolean. False leaves out spectral normalization whatever the owner
            asks for.
        layer_class: Class of the convolution unless it pads by reflection.
    """
    reflects = owner.reflection_padding and kernel_size > 1
    if reflects:
        layer_class = ReflectionConv2D
    layer = layer_class(
        filters,
        kernel_size,
        padding="valid" if reflects else "same",
        kernel_initializer=_copy_initializer(owner.kernel_initializer),
        data_format="channels_last",
        dtype=owner.dtype_policy,
        name=name,
    )
    return normalize_spectrally(owner, layer) if normalize else layer


def normalize_spectrally(owner: Any, layer: Any) -> Any:
    """Wraps a layer in `SpectralNormalization` if its owner asks for it.

    Args:
        owner: Layer or model with the attributes `spectral_normalization` and
            `spectral_norm_epsilon`.
        layer: Layer with a kernel.
    """
    if not owner.spectral_normalization:
        return layer
    return SpectralNormalization(
        layer, epsilon=owner.spectral_norm_epsilon, name=f"{layer.name}_sn"
    )


def batch_normalization(owner: Any, name: str) -> Any:
    """Returns batch normalization, conditional if its owner has classes.

    Args:
        owner: `GeneratorBlock`, or an object with the same attributes.
        name: String.
    """
    settings = {
        "momentum": owner.batch_norm_momentum,
        "epsilon": owner.batch_norm_epsilon,
        "synchronized": owner.synchronized_batch_norm,
        "dtype": owner.dtype_policy,
        "name": name,
    }
    if not owner.num_classes:
        return keras.layers.BatchNormalization(**settings)
    return ConditionalBatchNormalization(
        owner.num_classes,
        spectral_normalization=owner.conditional_spectral_normalization,
        spectral_norm_epsilon=owner.spectral_norm_epsilon,
        **settings,
    )


def _copy_initializer(initializer: Any) -> Any:
    """A shared initializer instance would give two layers identical weights."""
    config = initializer.get_config()
    config.pop("seed", None)
    return type(initializer).from_config(config)
