import numpy as np
import pytest
from keras import Model, layers, ops

from sagan_tf.layers import SelfAttention, SpectralNormalization, fold_all
from sagan_tf.layers.conv2d import Conv2D, Conv2DTranspose
from tests.backends import (
    BACKEND,
    MODES,
    POLICIES,
    array,
    compiled,
    double_precision,
    dtype,
    gradients,
)

WRAPPED = {
    "conv": (lambda **k: layers.Conv2D(6, 3, **k), (2, 8, 8, 4)),
    "conv_transpose": (lambda **k: layers.Conv2DTranspose(6, 4, 2, **k), (2, 4, 4, 5)),
    # Kernels that are larger than the inputs: these are divided by sigma.
    "large_conv": (lambda **k: Conv2D(15, 3, padding="same", **k), (2, 1, 2, 3)),
    "large_conv_transpose": (
        lambda **k: Conv2DTranspose(8, 4, 2, padding="same", **k),
        (2, 1, 2, 3),
    ),
    "dense": (lambda **k: layers.Dense(7, **k), (3, 5)),
    "embedding": (lambda **k: layers.Embedding(9, 4, **k), (3,)),
}

MODES_AND_POLICIES = [
    pytest.param(
        mode,
        policy,
        marks=[pytest.mark.slow] if mode == "xla" and policy != "float32" else [],
    )
    for mode in MODES
    for policy in POLICIES
]


def make(name, policy="float32", **kwargs):
    build, shape = WRAPPED[name]
    layer = SpectralNormalization(build(dtype=policy), **kwargs)
    if name == "embedding":
        inputs = np.array([0, 3, 8], np.int32)
    else:
        inputs = np.random.default_rng(1).normal(size=shape).astype("float32")
    layer.build(inputs.shape)
    return layer, inputs


def true_sigma(kernel, axis):
    kernel = np.moveaxis(np.float64(array(kernel)), axis, 0)
    return np.linalg.svd(kernel.reshape(len(kernel), -1), compute_uv=False)[0]


def row_axis(name):
    return -2 if name.endswith("conv_transpose") else -1


@pytest.mark.parametrize(("mode", "policy"), MODES_AND_POLICIES)
@pytest.mark.parametrize("name", WRAPPED)
def test_sigma_approaches_that_of_svd(name, policy, mode):
    layer, inputs = make(name, policy)
    call = compiled(layer, mode)
    sigma = true_sigma(layer.kernel, row_axis(name))
    errors = []
    for _ in range(100):
        errors.append((sigma - float(array(layer.compute_sigma()))) / sigma)
        call(inputs, training=True)
    assert abs(errors[-1]) < 1e-3
    # The error shrinks with each iteration, down to the rounding of float32.
    assert (np.diff(errors) < 1e-6).all() and errors[0] > 0.01


@pytest.mark.parametrize("axis", [-1, -2])
def test_axis_chooses_the_matrix(axis):
    layer, inputs = make("conv_transpose", axis=axis, power_iterations=200)
    assert layer.u.shape == (layer.kernel.shape[axis],)
    np.testing.assert_allclose(
        array(layer.compute_sigma()), true_sigma(layer.kernel, axis), rtol=1e-4
    )


@pytest.mark.parametrize("name", WRAPPED)
def test_output_is_that_of_the_layer_with_a_normalized_kernel(name):
    layer, inputs = make(name, power_iterations=200)
    outputs = layer(inputs)
    plain = WRAPPED[name][0]()
    plain.build(inputs.shape)
    weights = layer.layer.get_weights()
    sigma = true_sigma(layer.kernel, row_axis(name))
    plain.set_weights([weights[0] / sigma, *weights[1:]])
    np.testing.assert_allclose(
        array(outputs), array(plain(inputs)), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(("mode", "policy"), MODES_AND_POLICIES)
@pytest.mark.parametrize("name", WRAPPED)
def test_only_training_changes_only_u(name, policy, mode):
    layer, inputs = make(name, policy)
    call = compiled(layer, mode)
    before = layer.layer.get_weights()
    u = array(layer.u)
    evaluated = call(inputs, training=False)
    np.testing.assert_array_equal(array(layer.u), u)
    trained = call(inputs, training=True)
    for outputs in (evaluated, trained):
        assert dtype(outputs) == layer.compute_dtype
    np.testing.assert_array_equal(
        *(array(ops.cast(outputs, "float32")) for outputs in (evaluated, trained))
    )
    assert np.abs(array(layer.u) - u).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(array(layer.u)), 1, rtol=1e-5)
    for weight, value in zip(layer.layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("name", WRAPPED)
def test_gradient_equals_finite_differences(name):
    layer, inputs = make(name, power_iterations=300)
    rng = np.random.default_rng(2)
    weights = rng.normal(size=layer(inputs).shape).astype("float32")
    tensor = ops.convert_to_tensor(weights)

    def loss(kernel):
        with double_precision():
            plain = WRAPPED[name][0](dtype="float64")
            plain.build(inputs.shape)
            normalized = kernel / true_sigma(kernel, row_axis(name))
            bias = [w.astype("float64") for w in layer.layer.get_weights()[1:]]
            plain.set_weights([normalized, *bias])
            return float(np.sum(array(plain(inputs)) * weights))

    (gradient,) = gradients(lambda: ops.sum(layer(inputs) * tensor), [layer.kernel])
    kernel = np.float64(array(layer.kernel))
    for _ in range(5):
        direction = rng.normal(size=kernel.shape)
        step = 1e-4 * direction
        difference = (loss(kernel + step) - loss(kernel - step)) / 2e-4
        assert np.sum(gradient * direction) == pytest.approx(difference, rel=1e-2)


def test_gradient_holds_u_and_v_constant():
    # By hand, after one iteration: before convergence it makes a difference.
    layer, _ = make("dense")
    kernel = np.float64(array(layer.kernel))  # [inputs, outputs]
    v = kernel @ array(layer.u)
    v /= np.linalg.norm(v)
    u = kernel.T @ v
    u /= np.linalg.norm(u)
    sigma = v @ kernel @ u
    upstream = np.random.default_rng(3).normal(size=kernel.shape)
    expected = upstream / sigma
    expected -= np.sum(upstream * kernel) / sigma**2 * np.outer(v, u)
    identity = np.eye(5, dtype="float32")  # gives the normalized kernel; the bias is 0
    weights = ops.cast(upstream, "float32")
    (gradient,) = gradients(lambda: ops.sum(weights * layer(identity)), [layer.kernel])
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def kernel_gradient(layer, inputs, mode):
    def loss():
        return ops.sum(ops.cast(layer(inputs, training=True), "float32") ** 2)

    return gradients(loss, [layer.kernel], mode)[0]


@pytest.mark.parametrize(("mode", "policy"), MODES_AND_POLICIES)
@pytest.mark.parametrize("name", [name for name in WRAPPED if name != "embedding"])
def test_gradient_in_every_precision_and_mode(name, policy, mode):
    layer, inputs = make(name, policy)
    # The one in float32 is tested against finite differences.
    reference, _ = make(name)
    reference.set_weights(layer.get_weights())
    expected = kernel_gradient(reference, inputs, "eager")
    gradient, kernel = kernel_gradient(layer, inputs, mode), array(layer.kernel)
    tolerance = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}[policy]
    if BACKEND == "jax":  # rounds the sums of a product too
        tolerance *= 2
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    assert error < tolerance
    # sigma(cW) = c sigma(W): scaling the kernel changes nothing.
    norms = np.linalg.norm(gradient) * np.linalg.norm(kernel)
    assert abs(np.sum(gradient * kernel)) < tolerance * norms


def test_works_within_a_stateless_call():
    layer, inputs = make("dense")
    trainable = [w.value for w in layer.trainable_variables]
    fixed = [w.value for w in layer.non_trainable_variables]
    u = array(layer.u)
    bias = np.arange(7, dtype="float32")
    trainable[1] = ops.convert_to_tensor(bias)
    outputs, state = layer.stateless_call(trainable, fixed, inputs, training=True)
    np.testing.assert_allclose(
        array(outputs), array(layer(inputs)) + bias, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(array(layer.u), u)
    assert np.abs(array(state[0]) - u).max() > 1e-3


def test_losses_of_the_wrapped_layer_are_kept():
    def losses(wrap):
        layer = wrap(layers.Dense(3, activity_regularizer="l2", bias_regularizer="l2"))
        layer(np.ones((2, 5), "float32"))
        return layer.losses

    assert len(losses(SpectralNormalization)) == len(losses(lambda layer: layer)) == 2


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", WRAPPED)
def test_a_zero_kernel_gives_zeros(name, policy):
    layer, inputs = make(name, policy)
    layer.kernel.assign(np.zeros(layer.kernel.shape))
    outputs = array(ops.cast(layer(inputs), "float32"))
    np.testing.assert_array_equal(outputs, np.zeros(outputs.shape))


def test_refuses_a_layer_with_other_state():
    class Counting(layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.count = self.add_weight(name="count", trainable=False)

    with pytest.raises(ValueError, match="other state would be lost.*count"):
        SpectralNormalization(Counting(3)).build((2, 4))


@pytest.mark.parametrize("name", WRAPPED)
def test_a_folded_layer_gives_the_same_and_cannot_be_trained(name):
    layer, inputs = make(name)
    layer(inputs, training=True)
    expected, sigma = array(layer(inputs)), float(layer.compute_sigma())
    kernel = array(layer.kernel)
    for _ in range(2):
        layer.fold()
        np.testing.assert_allclose(array(layer.kernel), kernel / sigma, rtol=1e-6)
    np.testing.assert_allclose(array(layer(inputs)), expected, atol=1e-6)
    with pytest.raises(ValueError, match="folded"):
        layer(inputs, training=True)


def test_all_layers_of_a_model_are_folded():
    inputs = layers.Input((8, 8, 16))
    attention = SelfAttention(spectral_normalization=True)
    x = SpectralNormalization(layers.Conv2D(4, 3))(attention(inputs))
    model = Model(inputs, x)
    attention.gamma.assign(0.7)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
    for _ in range(50):
        model(images, training=True)
    expected = array(model(images))
    fold_all(model)
    np.testing.assert_allclose(array(model(images)), expected, atol=1e-5)
    kernels = [attention.query, attention.key, attention.value, model.layers[-1]]
    for layer in kernels:
        matrix = array(layer.kernel).reshape(-1, layer.kernel.shape[-1])
        largest = np.linalg.svd(matrix, compute_uv=False)[0]
        assert largest == pytest.approx(1, abs=0.02)
        with pytest.raises(ValueError, match="folded"):
            layer(images, training=True)
