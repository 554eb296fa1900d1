import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf.layers import SelfAttention
from sagan_tf.layers.chunked_attention import attend_in_chunks
from tests.backends import (
    BACKEND,
    MODES,
    POLICIES,
    array,
    dtype,
    gradients,
    penalty_gradients,
)

VARIANTS = {
    "full": {},
    "no_bias": {"use_bias": False},
    "pooled": {
        "pool_size": 2,
        "value_reduction": 2,
        "use_output_projection": True,
        "use_bias": False,
    },
    "spectral": {"spectral_normalization": True},
    "queries": {"normalize_over": "queries"},
}
SHAPE = (2, 4, 6, 16)
CHUNK_MODES = [(8, mode) for mode in MODES]


def make(gamma=0.7, **kwargs):
    layer = SelfAttention(**kwargs)
    layer.build(SHAPE)
    layer.gamma.assign(gamma)
    return layer, np.random.default_rng(0).normal(size=SHAPE).astype("float32")


def reference(layer, x):
    """Equations 1 to 3 of the paper, position by position."""

    def convolve(convolution, inputs):
        kernel, *bias = map(np.float64, convolution.get_weights())
        return inputs @ kernel[0, 0] + (bias[0] if bias else 0)

    def pool(maps):
        p = layer.pool_size
        b, h, w, c = maps.shape
        return maps.reshape(b, h // p, p, w // p, p, c).max(axis=(2, 4))

    x = np.float64(x)
    query, key, value = (
        convolve(layer.query, x),
        pool(convolve(layer.key, x)),
        pool(convolve(layer.value, x)),
    )
    b, h, w, c = x.shape
    query = query.reshape(b, h * w, -1)
    key, value = (m.reshape(b, -1, m.shape[-1]) for m in (key, value))
    energy = np.einsum("bnc,bmc->bnm", query, key)
    axis = 2 if layer.normalize_over == "keys" else 1
    energy = np.exp(energy - energy.max(axis=axis, keepdims=True))
    scores = energy / energy.sum(axis=axis, keepdims=True)
    attended = np.einsum("bnm,bmc->bnc", scores, value).reshape(b, h, w, -1)
    if layer.use_output_projection:
        attended = convolve(layer.output_projection, attended)
    return float(array(layer.gamma)) * attended + x, scores


@pytest.mark.parametrize("variant", ["full", "no_bias", "pooled", "queries"])
def test_equals_numpy(variant):
    layer, x = make(**VARIANTS[variant], bias_initializer="random_normal")
    outputs, scores = layer(x, return_attention_scores=True)
    expected_outputs, expected_scores = reference(layer, x)
    np.testing.assert_allclose(array(scores), expected_scores, atol=1e-6)
    np.testing.assert_allclose(array(outputs), expected_outputs, atol=1e-5)
    np.testing.assert_array_equal(array(outputs), array(layer(x)))


def test_over_queries_equals_the_layer_of_some_ports():
    """`A = softmax(f'g)` over the positions of g, `out = gamma h A + x`.

    f, g and h are 1x1 convolutions, flattened to [channels, N]. The values come from
    the positions of f, so f gives our keys and g our queries.
    """
    layer, x = make(normalize_over="queries", bias_initializer="zeros")
    b, height, width, channels = x.shape
    for convolution in (layer.query, layer.key, layer.value):
        kernel, bias = convolution.get_weights()
        limit = np.sqrt(6 / sum(kernel.shape[2:]))  # Xavier
        assert 0.8 * limit < np.abs(kernel).max() <= limit
        assert not bias.any()
    outputs, scores = layer(x, return_attention_scores=True)
    for image, output, score in zip(x, array(outputs), array(scores), strict=True):
        flat = np.float64(image).reshape(-1, channels).T
        f, g, h = (
            np.float64(array(convolution.kernel))[0, 0].T @ flat
            for convolution in (layer.key, layer.query, layer.value)
        )
        a = np.exp(f.T @ g)
        a /= a.sum(axis=-1, keepdims=True)
        expected = 0.7 * (h @ a) + flat
        expected = expected.T.reshape(height, width, channels)
        np.testing.assert_allclose(output, expected, atol=1e-5)
        np.testing.assert_allclose(score, a.T, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_sum_to_one(variant):
    layer, x = make(**VARIANTS[variant])
    _, scores = layer(x, return_attention_scores=True)
    keys = 24 // layer.pool_size**2
    assert tuple(scores.shape) == (2, 24, keys)
    axis = -2 if variant == "queries" else -1
    np.testing.assert_allclose(array(scores).sum(axis=axis), 1.0, atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_is_the_identity_at_first(variant, policy):
    layer, x = make(**VARIANTS[variant], gamma=0.0, dtype=policy)
    outputs, scores = layer(x, return_attention_scores=True)
    expected = ops.cast(ops.cast(x, layer.compute_dtype), "float32")
    np.testing.assert_array_equal(array(ops.cast(outputs, "float32")), array(expected))
    assert (dtype(outputs), dtype(scores)) == (layer.compute_dtype, "float32")


def test_gradient_of_gamma_equals_finite_differences():
    layer, x = make()
    (gradient,) = gradients(lambda: ops.sum(layer(x) ** 2), [layer.gamma])
    losses = []
    for gamma in (0.69, 0.71):
        layer.gamma.assign(gamma)
        losses.append(np.sum(reference(layer, x)[0] ** 2))
    assert gradient == pytest.approx((losses[1] - losses[0]) / 0.02, rel=1e-3)


@pytest.mark.parametrize("initializer", ["glorot_uniform", "seeded"])
def test_query_and_key_start_differently(initializer):
    if initializer == "seeded":
        initializer = keras.initializers.GlorotUniform(seed=3)
    layer, _ = make(kernel_initializer=initializer)
    difference = array(layer.query.kernel) - array(layer.key.kernel)
    assert np.abs(difference).max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_symbolic_scores(variant):
    layer, x = make(**VARIANTS[variant])
    inputs = keras.Input(SHAPE[1:])
    outputs, scores = layer(inputs, return_attention_scores=True)
    assert tuple(outputs.shape) == (None, *SHAPE[1:])
    assert tuple(scores.shape) == (None, 24, 24 // layer.pool_size**2)
    model = keras.Model(inputs, [outputs, scores])
    expected = layer(x, return_attention_scores=True)
    for actual, value in zip(model(x), expected, strict=True):
        np.testing.assert_allclose(array(actual), array(value), atol=1e-6)


def test_takes_maps_of_any_size():
    inputs = keras.Input((None, None, 16))
    layer = SelfAttention()
    model = keras.Model(inputs, layer(inputs))
    for shape in ((1, 3, 5, 16), (2, 7, 2, 16)):
        x = np.ones(shape, "float32")
        np.testing.assert_array_equal(array(model(x)), x)


def test_refuses_sizes_that_are_no_multiple_of_the_pool_size_in_calls_too():
    layer = SelfAttention(pool_size=2)
    layer.build((None, None, None, 8))
    x = np.zeros((1, 4, 6, 8), "float32")
    assert tuple(layer(x).shape) == x.shape
    with pytest.raises(ValueError, match="pool_size=2 needs a map"):
        layer(np.zeros((1, 4, 5, 8), "float32"))


@pytest.mark.parametrize(
    ("chunk_size", "mode"), [*((n, "eager") for n in (1, 5, 24, 10**12)), *CHUNK_MODES]
)
@pytest.mark.parametrize("variant", ["full", "pooled", "spectral"])
def test_chunks_change_nothing(variant, chunk_size, mode):
    results = []
    for size in (None, chunk_size):
        keras.utils.set_random_seed(0)
        layer, x = make(**VARIANTS[variant], chunk_size=size)
        inputs = keras.layers.Layer()
        inputs.x = inputs.add_weight(shape=x.shape)
        inputs.x.assign(x)
        weights = [inputs.x, *layer.trainable_variables]

        def compute_loss(layer=layer, inputs=inputs):
            return ops.sum(ops.sin(layer(inputs.x, training=True)))

        found = gradients(compute_loss, weights, mode)
        results.append([array(layer(x)), *found])
    for plain, chunked in zip(*results, strict=True):
        np.testing.assert_allclose(chunked, plain, rtol=1e-4, atol=2e-5)


# TensorFlow's XLA does not take second derivatives of loops.
@pytest.mark.parametrize(
    "mode", [mode for mode in MODES if (BACKEND, mode) != ("tensorflow", "xla")]
)
def test_chunks_have_second_derivatives(mode):
    """As gradient penalties need them."""
    results = []
    for size in (None, 24, 8):
        keras.utils.set_random_seed(0)
        layer, x = make(chunk_size=size)

        def compute_loss(inputs, layer=layer):
            return ops.sum(ops.sin(layer(inputs)))

        kernels = [each.kernel for each in (layer.query, layer.key, layer.value)]
        variables = [*kernels, layer.value.bias, layer.gamma]
        results.append(penalty_gradients(compute_loss, x, variables, mode))
    for plain, *chunked in zip(*results, strict=True):
        largest = np.abs(plain).max()
        assert largest > 1e-3
        for own in chunked:
            np.testing.assert_allclose(own, plain, atol=1e-5 * largest)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunk_size", [6, 24])
@pytest.mark.parametrize("group_size", [1, 2, 4])
def test_groups_of_images_change_nothing(group_size, chunk_size, mode):
    random = np.random.default_rng(0)
    shapes = [(4, 24, 3), (4, 6, 3), (4, 6, 5)]
    values = keras.layers.Layer()
    weights = [values.add_weight(shape=shape) for shape in shapes]
    for weight, shape in zip(weights, shapes, strict=True):
        weight.assign(random.normal(size=shape))
    results = []
    for sizes in ((24, None), (chunk_size, group_size)):

        def compute_loss(sizes=sizes):
            tensors = map(ops.copy, weights)
            return ops.sum(ops.sin(attend_in_chunks(*tensors, *sizes)))

        results.append(
            [
                array(compute_loss()),
                *gradients(compute_loss, weights, mode),
            ]
        )
    for whole, grouped in zip(*results, strict=True):
        np.testing.assert_allclose(grouped, whole, rtol=1e-4, atol=1e-6)


def test_groups_of_images_have_second_derivatives():
    random = np.random.default_rng(0)
    query, key, value = (
        random.normal(size=shape).astype("float32")
        for shape in [(4, 24, 3), (4, 6, 3), (4, 6, 5)]
    )
    weights = keras.layers.Layer()
    variables = [weights.add_weight(shape=each.shape) for each in (key, value)]
    for variable, own in zip(variables, (key, value), strict=True):
        variable.assign(own)

    def attend(query, key, value):
        scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))))
        return ops.matmul(scores, value)

    results = []
    for own in (attend, lambda *tensors: attend_in_chunks(*tensors, 6, 2)):

        def compute_loss(query, own=own):
            return ops.sum(ops.sin(own(query, *map(ops.copy, variables))))

        results.append(penalty_gradients(compute_loss, query, variables))
    for whole, grouped in zip(*results, strict=True):
        np.testing.assert_allclose(grouped, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_chunks_in_half_precision(policy):
    """As near to the float32 gradients as those of all scores at once."""
    errors = {}
    reference, x = make(chunk_size=None)

    def differentiate(layer):
        def loss():
            outputs = ops.cast(layer(x), "float32")
            return ops.sum(ops.sin(outputs))

        return gradients(loss, [layer.query.kernel, layer.value.kernel, layer.gamma])

    expected = differentiate(reference)
    for size in (None, 8):
        layer = SelfAttention(chunk_size=size, dtype=policy)
        layer.build(SHAPE)
        layer.set_weights(reference.get_weights())
        errors[size] = [
            np.linalg.norm(found - right) / np.linalg.norm(right)
            for found, right in zip(differentiate(layer), expected, strict=True)
        ]
    assert max(errors[None]) > 0
    assert max(errors[8]) < 2 * max(errors[None])


@pytest.fixture
def divisions(monkeypatch):
    """How attention was divided: pairs of chunk size and group size."""
    calls = []
    monkeypatch.setattr(
        "sagan_tf.layers.self_attention.attend_in_chunks",
        lambda query, key, value, *sizes: calls.append(sizes) or query,
    )
    return calls


def test_large_maps_are_attended_in_chunks(divisions, monkeypatch):
    monkeypatch.setattr("sagan_tf.layers.self_attention.is_cpu", lambda: False)
    layer = SelfAttention(key_reduction=1)
    for size in (32, 45, 46, 64, 61):
        layer(np.zeros((1, size, size, 2), "float32"))
    # 46 * 46 queries in chunks of at most 2**20 / 46**2, a divisor of their number.
    assert divisions == [(92, None), (256, None), (61, None)]
    outputs, scores = layer(
        np.zeros((1, 46, 46, 2), "float32"), return_attention_scores=True
    )
    assert scores.shape == (1, 46**2, 46**2)
    assert layer.count_scores((3, 46, 46, 2)) == 3 * 92 * 46**2
    assert layer.count_scores((3, 32, 32, 2)) == 3 * 32**4
    assert len(divisions) == 3


def test_a_cpu_attends_to_single_images(divisions, monkeypatch):
    monkeypatch.setattr("sagan_tf.layers.self_attention.is_cpu", lambda: True)
    layer = SelfAttention(key_reduction=1)
    for size in (32, 64):
        layer(np.zeros((2, size, size, 2), "float32"))
    half = SelfAttention(key_reduction=1, dtype="mixed_bfloat16")
    for size in (31, 32, 64):
        half(np.zeros((2, size, size, 2), "float32"))
    # 2**21 scores at a time: of two images where these have 2**20 each.
    assert divisions == [(512, 1), (1024, 2), (512, 1)]
    assert layer.count_scores((2, 64, 64, 2)) == half.count_scores((2, 32, 32, 2))
    assert layer.count_scores((2, 64, 64, 2)) == 2**21


@pytest.mark.skipif(BACKEND != "tensorflow", reason="A batch can be unknown there.")
@pytest.mark.parametrize("pool_size", [1, 2])
def test_chunks_of_an_unknown_batch(pool_size):
    import tensorflow as tf

    def differentiate(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(tf.sin(outputs))
        return outputs, tape.gradient(loss, x)

    layer, x = make(pool_size=pool_size, chunk_size=5)
    plain = SelfAttention(pool_size=pool_size, chunk_size=None)
    plain.build(SHAPE)
    plain.set_weights(layer.get_weights())
    unknown = tf.TensorSpec([None, *SHAPE[1:]])
    compiled = tf.function(lambda x: differentiate(layer, x)).get_concrete_function(
        unknown
    )
    for chunked, expected in zip(
        compiled(tf.constant(x)), differentiate(plain, tf.constant(x)), strict=True
    ):
        np.testing.assert_allclose(chunked, expected, rtol=1e-4, atol=1e-5)
