"""Convolutions computed as one with resampling equal one after the other."""

import sys

import numpy as np
import pytest
from keras import layers, ops

from sagan_tf.layers import PoolingConv2D, UpsamplingConv2D
from sagan_tf.layers.resampling import pool, upsample
from sagan_tf.models.resnet import DISCRIMINATOR_CHANNELS, GENERATOR_CHANNELS
from tests.backends import array, gradients

CLASSES = [UpsamplingConv2D, PoolingConv2D]


def maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class Plain(layers.Layer):
    """The same kernel, one operation after the other."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        upsamples = isinstance(self.layer, UpsamplingConv2D)
        x = upsample(x) if upsamples else x
        x = ops.conv(x, self.layer.kernel, padding="same", data_format="channels_last")
        return (x if upsamples else pool(x)) + self.layer.bias


def compare(layer, x, monkeypatch, tolerance):
    """Compares outputs, and gradients by inputs and weights, with the plain form."""
    monkeypatch.setattr(type(layer), "smallest_fused", 1)
    monkeypatch.setattr("sagan_tf.layers.resampling.is_cpu", lambda: True)
    layer.build(x.shape)
    layer.bias.assign(maps(*layer.bias.shape))
    inputs = layers.Layer()
    inputs.x = inputs.add_weight(shape=x.shape)
    inputs.x.assign(x)
    outputs = array(layer(x))
    weights = maps(*outputs.shape)
    results = [
        [array(f(x))]
        + gradients(
            lambda f=f: ops.sum(f(inputs.x) * weights), [inputs.x, *layer.weights]
        )
        for f in (layer, Plain(layer))
    ]
    for fused, plain in zip(*results, strict=True):
        error = np.abs(fused - plain).max() / np.abs(plain).max()
        assert error < tolerance
    return results[0][0]


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("layer_class", CLASSES)
def test_it_equals_one_after_the_other(layer_class, kernel_size, monkeypatch):
    layer = layer_class(4, kernel_size)
    x = maps(2, 6, 8, 3)
    outputs = compare(layer, x, monkeypatch, 1e-5)
    assert outputs.shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("layer_class", CLASSES)
def test_only_large_maps_are_computed_as_one(layer_class, monkeypatch):
    module = sys.modules[layer_class.__module__]
    monkeypatch.setattr(module, "sum_shifted", lambda kernel: 1 / 0)
    monkeypatch.setattr("sagan_tf.layers.resampling.is_cpu", lambda: True)
    layer = layer_class(4, 3)
    small = layer.smallest_fused * (1 if layer_class is UpsamplingConv2D else 2)
    layer(maps(1, small - 2, small, 3))
    with pytest.raises(ZeroDivisionError):
        layer(maps(1, small, small, 3))
    monkeypatch.setattr("sagan_tf.layers.resampling.is_cpu", lambda: False)
    layer(maps(1, small, small, 3))


def test_odd_maps_are_pooled_as_keras_does():
    layer = PoolingConv2D(4, 3)
    x = maps(2, 17, 19, 3)
    np.testing.assert_allclose(array(layer(x)), array(Plain(layer)(x)), rtol=1e-5)
    assert layer(x).shape == layer.compute_output_shape(x.shape) == (2, 8, 9, 4)


def block_sizes():
    """Every block that resamples, at width 64: its class, map and channels."""
    found = set()
    for channels in GENERATOR_CHANNELS.values():
        for i, pair in enumerate(zip(channels, channels[1:], strict=False)):
            found.add((UpsamplingConv2D, 4 * 2**i, *pair))
    for size, channels in DISCRIMINATOR_CHANNELS.items():
        for i, filters in enumerate(channels):
            if (resolution := size // 2**i) > (8 if size == 32 else 4):
                found.add((PoolingConv2D, resolution, filters, filters))
    return sorted(found, key=lambda block: (block[0].__name__, *block[1:]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", block_sizes(), ids=lambda b: f"{b[0].__name__}-{b[1]}-{b[2]}-{b[3]}"
)
def test_blocks_of_every_size_equal_one_after_the_other(block, monkeypatch):
    layer_class, resolution, inputs, outputs = block
    x = maps(1, resolution, resolution, 64 * inputs)
    compare(layer_class(64 * outputs, 3), x, monkeypatch, 1e-5)
