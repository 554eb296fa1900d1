import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from sagan_tf import SpectralNormalization

WRAPPED = {
    "conv": (lambda **k: layers.Conv2D(6, 3, **k), (2, 8, 8, 4)),
    "conv_transpose": (lambda **k: layers.Conv2DTranspose(6, 4, 2, **k), (2, 4, 4, 5)),
    "dense": (lambda **k: layers.Dense(7, **k), (3, 5)),
    "embedding": (lambda **k: layers.Embedding(9, 4, **k), (3,)),
}
MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}
POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]


def make(name, policy="float32", **kwargs):
    build, shape = WRAPPED[name]
    layer = SpectralNormalization(build(dtype=policy), **kwargs)
    if name == "embedding":
        inputs = np.array([0, 3, 8])
    else:
        inputs = np.random.default_rng(1).normal(size=shape).astype("float32")
    layer.build(inputs.shape)
    return layer, inputs


def true_sigma(kernel, axis):
    kernel = np.moveaxis(np.asarray(kernel, np.float64), axis, 0)
    return np.linalg.svd(kernel.reshape(len(kernel), -1), compute_uv=False)[0]


def row_axis(name):
    return -2 if name == "conv_transpose" else -1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("mode", MODES)
def test_sigma_approaches_that_of_svd(name, policy, mode):
    layer, inputs = make(name, policy)
    call = MODES[mode](layer.__call__)
    sigma = true_sigma(layer.kernel, row_axis(name))
    errors = []
    for _ in range(100):
        errors.append((sigma - float(layer.compute_sigma())) / sigma)
        call(inputs, training=True)
    assert abs(errors[-1]) < 1e-3
    # With each iteration, down to float32's rounding.
    assert (np.diff(errors) < 1e-6).all() and errors[0] > 0.01


@pytest.mark.parametrize("axis", [-1, -2])
def test_axis_chooses_the_matrix(axis):
    layer, inputs = make("conv_transpose", axis=axis, power_iterations=200)
    assert layer.u.shape == (layer.kernel.shape[axis],)
    np.testing.assert_allclose(
        layer.compute_sigma(), true_sigma(layer.kernel, axis), rtol=1e-4
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
    np.testing.assert_allclose(outputs, plain(inputs), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("mode", MODES)
def test_calls_change_u_alone_and_only_in_training(name, policy, mode):
    layer, inputs = make(name, policy)
    call = MODES[mode](layer.__call__)
    before = [w.numpy() for w in layer.layer.weights]
    u = layer.u.numpy()
    evaluated = call(inputs, training=False)
    np.testing.assert_array_equal(layer.u, u)
    trained = call(inputs, training=True)
    np.testing.assert_array_equal(evaluated, trained)
    assert evaluated.dtype == layer.compute_dtype
    assert np.abs(layer.u - u).max() > 1e-3
    assert layer.u.dtype == "float32"
    np.testing.assert_allclose(np.linalg.norm(layer.u), 1, rtol=1e-5)
    for weight, value in zip(layer.layer.weights, before, strict=True):
        assert weight.dtype == "float32"
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("name", WRAPPED)
def test_gradient_equals_finite_differences(name):
    layer, inputs = make(name, power_iterations=300)
    rng = np.random.default_rng(2)
    weights = rng.normal(size=layer(inputs).shape).astype("float32")

    def loss(kernel):
        kernel = kernel.astype("float64")
        plain = WRAPPED[name][0](dtype="float64")
        plain.build(inputs.shape)
        normalized = kernel / true_sigma(kernel, row_axis(name))
        bias = [w.astype("float64") for w in layer.layer.get_weights()[1:]]
        plain.set_weights([normalized, *bias])
        return float(np.sum(plain(inputs).numpy() * weights))

    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(inputs) * weights)
    gradient = tf.convert_to_tensor(tape.gradient(value, layer.kernel.value)).numpy()
    kernel = layer.kernel.numpy()
    for _ in range(5):
        direction = rng.normal(size=kernel.shape)
        step = 1e-4 * direction
        difference = (loss(kernel + step) - loss(kernel - step)) / 2e-4
        assert np.sum(gradient * direction) == pytest.approx(difference, rel=1e-2)


def test_gradient_holds_u_and_v_constant():
    # Away from convergence, where it matters: by hand, after one iteration.
    layer, _ = make("dense")
    kernel = layer.kernel.numpy().astype("float64")  # [inputs, outputs]
    v = kernel @ layer.u.numpy()
    v /= np.linalg.norm(v)
    u = kernel.T @ v
    u /= np.linalg.norm(u)
    sigma = v @ kernel @ u
    upstream = np.random.default_rng(3).normal(size=kernel.shape)
    expected = upstream / sigma
    expected -= np.sum(upstream * kernel) / sigma**2 * np.outer(v, u)
    with tf.GradientTape() as tape:
        outputs = layer(np.eye(5, dtype="float32"))  # the normalized kernel, bias 0
        loss = tf.reduce_sum(upstream.astype("float32") * outputs)
    np.testing.assert_allclose(
        tape.gradient(loss, layer.kernel.value), expected, atol=1e-5
    )


def kernel_gradient(layer, inputs, mode):
    def gradient():
        with tf.GradientTape() as tape:
            outputs = tf.cast(layer(inputs, training=True), tf.float32)
            loss = tf.reduce_sum(outputs**2)
        return tape.gradient(loss, layer.kernel.value)

    return MODES[mode](gradient)().numpy()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["conv", "conv_transpose", "dense"])
def test_gradient_in_every_precision_and_mode(name, policy, mode):
    layer, inputs = make(name, policy)
    # That in float32, which finite differences vouch for.
    reference, _ = make(name)
    reference.set_weights(layer.get_weights())
    expected = kernel_gradient(reference, inputs, "eager")
    gradient, kernel = kernel_gradient(layer, inputs, mode), layer.kernel.numpy()
    tolerance = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}[policy]
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    assert error < tolerance
    # sigma(cW) = c sigma(W): scaling the kernel changes nothing.
    norms = np.linalg.norm(gradient) * np.linalg.norm(kernel)
    assert abs(np.sum(gradient * kernel)) < tolerance * norms


def test_works_within_a_stateless_call():
    layer, inputs = make("dense")
    trainable = [w.numpy() for w in layer.trainable_variables]
    fixed = [w.numpy() for w in layer.non_trainable_variables]
    bias = np.arange(7, dtype="float32")
    trainable[1] = bias
    outputs, state = layer.stateless_call(trainable, fixed, inputs, training=True)
    np.testing.assert_allclose(outputs, layer(inputs) + bias, rtol=1e-5)
    np.testing.assert_array_equal(layer.u, fixed[0])
    assert np.abs(state[0] - fixed[0]).max() > 1e-3


def test_losses_of_the_wrapped_layer_are_kept():
    def losses(wrap):
        layer = wrap(layers.Dense(3, activity_regularizer="l2", bias_regularizer="l2"))
        layer(np.ones((2, 5), "float32"))
        return layer.losses

    assert len(losses(SpectralNormalization)) == len(losses(lambda layer: layer)) == 2


def test_zero_kernel_gives_zeros():
    layer, inputs = make("dense")
    layer.kernel.assign(np.zeros(layer.kernel.shape))
    np.testing.assert_array_equal(layer(inputs), np.zeros((3, 7)))


@pytest.mark.parametrize("name", WRAPPED)
def test_saves_and_loads(name, tmp_path):
    layer, inputs = make(name, power_iterations=2, epsilon=1e-8)
    dtype = "int32" if name == "embedding" else "float32"
    tensor = keras.Input(inputs.shape[1:], dtype=dtype)
    model = keras.Model(tensor, layer(tensor))
    layer(inputs, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    config = loaded.layers[-1].get_config()
    assert (config["power_iterations"], config["epsilon"]) == (2, 1e-8)
    # The kernel is held once.
    assert len(model.weights) == len(layer.layer.weights) + 1


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: layers.BatchNormalization(), "needs a layer with a kernel"),
        (lambda: layers.Dropout(0.5), "needs a layer with a kernel"),
        (lambda: layers.DepthwiseConv2D(3), "depthwise"),
        (lambda: layers.SeparableConv2D(4, 3), "kernel"),
        (lambda: layers.SimpleRNN(4), "kernel"),
    ],
)
def test_refuses_what_it_cannot_normalize(layer, message):
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(layer()).build((2, 8, 8, 4))


def test_refuses_a_layer_with_other_state():
    class Counting(layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.count = self.add_weight(name="count", trainable=False)

    with pytest.raises(ValueError, match="other state would be lost.*count"):
        SpectralNormalization(Counting(3)).build((2, 4))


@pytest.mark.parametrize(
    "kwargs", [{"power_iterations": 0}, {"power_iterations": 1.5}, {"epsilon": -1.0}]
)
def test_refuses_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        SpectralNormalization(layers.Dense(2), **kwargs)


def test_refuses_an_axis_the_kernel_does_not_have():
    with pytest.raises(ValueError, match="axis=2"):
        SpectralNormalization(layers.Dense(2), axis=2).build((1, 3))
