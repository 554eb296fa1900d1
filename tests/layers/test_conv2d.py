"""Convolutions whose weight gradient is computed as matrix products."""

import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf.layers import conv2d, kernel_gradient
from tests.backends import (
    BACKEND,
    MODES,
    POLICIES,
    array,
    gradients,
    penalty_gradients,
)

TRANSPOSED = {"Conv2D": False, "Conv2DTranspose": True}


@pytest.fixture(autouse=True)
def products(monkeypatch):
    """Every kernel counts as large, on a CPU; returns each gradient's smaller map."""
    calls = []
    original = kernel_gradient.differentiate_by_kernel

    def record(*arguments):
        calls.append(tuple(arguments[1].shape))
        return original(*arguments)

    monkeypatch.setattr(kernel_gradient, "_LEAST_WEIGHTS", 0)
    monkeypatch.setattr(kernel_gradient, "is_cpu", lambda: BACKEND != "torch")
    monkeypatch.setattr(kernel_gradient, "differentiate_by_kernel", record)
    return calls


def maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def differentiate(layer, x, mode="eager"):
    """Returns the outputs, and the gradients of inputs, kernel and bias."""
    inputs = keras.layers.Layer()
    inputs.x = inputs.add_weight(shape=x.shape)
    inputs.x.assign(x)
    outputs = array(layer(x))
    loss = lambda: ops.sum(layer(inputs.x) * maps(*outputs.shape))  # noqa: E731
    return outputs, *gradients(loss, [inputs.x, *layer.weights], mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size, strides", [(1, 1), (3, 1), (5, 1), (4, 2), (2, 2)])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_gradients_equal_those_of_keras(name, size, strides, mode, products):
    arguments = {"strides": strides, "padding": "same", "activation": "tanh"}
    x = maps(2, 6, 4, 3)
    results = []
    for module in (conv2d, keras.layers):
        layer = getattr(module, name)(5, size, **arguments)
        layer.build(x.shape)
        shape = layer.kernel.shape
        layer.set_weights([maps(*shape), maps(5)])
        results.append(differentiate(layer, x, mode))
    for own, of_keras in zip(*results, strict=True):
        np.testing.assert_allclose(own, of_keras, rtol=1e-4, atol=1e-5)
    assert len(products) == (0 if BACKEND == "torch" else 1)


@pytest.mark.parametrize("policy", POLICIES[1:])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_half_precision(name, policy, products):
    """As near to the float32 gradient of the kernel as Keras' own."""
    x = maps(8, 8, 6, 3)
    kernels = {}
    for module, dtype in (
        (keras.layers, "float32"),
        (keras.layers, policy),
        (conv2d, policy),
    ):
        layer = getattr(module, name)(5, 4, strides=2, padding="same", dtype=dtype)
        layer.build(x.shape)
        layer.set_weights([maps(*layer.kernel.shape), maps(5)])
        weights = maps(*layer.compute_output_shape(x.shape))

        def loss(layer=layer, weights=weights):
            return ops.sum(ops.cast(layer(x), "float32") * weights)

        kernels[module, dtype] = gradients(loss, [layer.kernel])[0]
    right = kernels.pop((keras.layers, "float32"))
    of_keras, own = (np.linalg.norm(found - right) for found in kernels.values())
    assert 0 < own < 2 * of_keras < 0.03 * np.linalg.norm(right)
    assert len(products) == (0 if BACKEND == "torch" else 1)


@pytest.mark.parametrize("name", TRANSPOSED)
def test_second_derivatives_equal_those_of_keras(name, products):
    """As gradient penalties need them."""
    x = maps(2, 4, 4, 3)
    results = []
    for module in (conv2d, keras.layers):
        layer = getattr(module, name)(5, 4, strides=2, padding="same")
        layer.build(x.shape)
        layer.set_weights([maps(*layer.kernel.shape), maps(5)])

        def compute_loss(inputs, layer=layer):
            return ops.sum(ops.sin(layer(inputs)))

        results.append(penalty_gradients(compute_loss, x, layer.weights))
    assert BACKEND == "torch" or products
    for own, of_keras in zip(*results, strict=True):
        largest = np.abs(of_keras).max()
        np.testing.assert_allclose(own, of_keras, atol=1e-5 * largest)


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": "valid"},
        {"padding": "same", "dilation_rate": 2},
        {"padding": "same", "strides": 2},  # a 3x3 kernel: no multiple of the strides
        {"padding": "same", "groups": 3},
    ],
)
def test_other_convolutions_are_keras_own(arguments, products):
    x = maps(2, 6, 6, 3)
    layer, of_keras = (
        c(6, 3, **arguments) for c in (conv2d.Conv2D, keras.layers.Conv2D)
    )
    for each in (layer, of_keras):
        each.build(x.shape)
        each.set_weights([maps(*each.kernel.shape), maps(6)])
    for own, other in zip(
        differentiate(layer, x), differentiate(of_keras, x), strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-5)
    assert not products


@pytest.mark.skipif(BACKEND == "torch", reason="There are none under torch.")
def test_products_are_for_small_maps_and_large_kernels_on_a_cpu(monkeypatch, products):
    monkeypatch.setattr(kernel_gradient, "_LEAST_WEIGHTS", 9 * 8 * 8)
    layers = {
        channels: conv2d.Conv2D(channels, 3, padding="same") for channels in (7, 8)
    }
    for batch, channels in ((64, 7), (64, 8), (65, 8)):  # 64 * 8 * 8 = 2**12 positions
        differentiate(layers[channels], maps(batch, 8, 8, 8))
    assert products == [(64, 8, 8, 8)]
    monkeypatch.setattr(kernel_gradient, "is_cpu", lambda: False)
    differentiate(layers[8], maps(64, 8, 8, 8))
    assert len(products) == 1
