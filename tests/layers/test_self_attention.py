import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import SelfAttention

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


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def make(gamma=0.7, **kwargs):
    layer = SelfAttention(**kwargs)
    layer.build(SHAPE)
    layer.gamma.assign(gamma)
    return layer, np.random.default_rng(0).normal(size=SHAPE).astype("float32")


def reference(layer, x):
    """Equations 1 to 3 of the paper, position by position."""

    def convolve(convolution, inputs):
        kernel, *bias = (np.float64(w) for w in convolution.get_weights())
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
    return float(layer.gamma) * attended + x, scores


@pytest.mark.parametrize("variant", ["full", "no_bias", "pooled", "queries"])
def test_equals_numpy(variant):
    layer, x = make(**VARIANTS[variant], bias_initializer="random_normal")
    outputs, scores = layer(x, return_attention_scores=True)
    expected_outputs, expected_scores = reference(layer, x)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    np.testing.assert_allclose(outputs, expected_outputs, atol=1e-5)
    np.testing.assert_array_equal(outputs, layer(x))


def test_over_queries_equals_the_lone_layer_of_another_port():
    """System C: `A = softmax(f'g)` over g's positions, `out = gamma h A + x`.

    f, g and h are 1x1 convolutions, flattened to [channels, N]. What is looked at is
    f's, so f gives our keys and g our queries.
    """
    layer, x = make(normalize_over="queries", bias_initializer="zeros")
    b, height, width, channels = x.shape
    for convolution in (layer.query, layer.key, layer.value):
        kernel, bias = convolution.get_weights()
        limit = np.sqrt(6 / sum(kernel.shape[2:]))  # Xavier
        assert 0.8 * limit < np.abs(kernel).max() <= limit
        assert not bias.any()
    outputs, scores = layer(x, return_attention_scores=True)
    for image, output, score in zip(x, outputs, scores, strict=True):
        flat = np.float64(image).reshape(-1, channels).T
        f, g, h = (
            np.float64(convolution.kernel)[0, 0].T @ flat
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
    assert scores.shape == (2, 24, keys)
    axis = -2 if variant == "queries" else -1
    np.testing.assert_allclose(np.sum(scores, axis=axis), 1.0, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_is_the_identity_at_first(variant, policy):
    layer, x = make(**VARIANTS[variant], gamma=0.0, dtype=policy)
    outputs, scores = layer(x, return_attention_scores=True)
    np.testing.assert_array_equal(outputs, tf.cast(x, layer.compute_dtype))
    assert outputs.dtype == layer.compute_dtype
    assert scores.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in layer.weights)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_near_float32(policy):
    layer, x = make(dtype=policy)
    expected, _ = reference(layer, x)
    np.testing.assert_allclose(tf.cast(layer(x), "float32"), expected, atol=0.1)


def test_gradient_of_gamma_equals_finite_differences():
    layer, x = make()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradient = float(tape.gradient(loss, layer.gamma.value))
    losses = []
    for gamma in (0.69, 0.71):
        layer.gamma.assign(gamma)
        losses.append(np.sum(reference(layer, x)[0] ** 2))
    assert gradient == pytest.approx((losses[1] - losses[0]) / 0.02, rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_equals_eager(variant, jit_compile):
    layer, x = make(**VARIANTS[variant])
    call = tf.function(
        lambda x: layer(x, return_attention_scores=True), jit_compile=jit_compile
    )
    for graph, eager in zip(
        call(x), layer(x, return_attention_scores=True), strict=True
    ):
        np.testing.assert_allclose(graph, eager, atol=1e-5)


def test_weight_counts():
    layer, _ = make()
    # query and key 16 -> 2, value 16 -> 16, each with biases; gamma.
    assert layer.count_params() == 2 * (16 * 2 + 2) + 16 * 16 + 16 + 1
    layer, _ = make(**VARIANTS["pooled"])
    assert layer.count_params() == 2 * 16 * 2 + 16 * 8 + 8 * 16 + 1


@pytest.mark.parametrize("initializer", ["glorot_uniform", "seeded"])
def test_query_and_key_start_differently(initializer):
    if initializer == "seeded":
        initializer = keras.initializers.GlorotUniform(seed=3)
    layer, _ = make(kernel_initializer=initializer)
    difference = layer.query.kernel.numpy() - layer.key.kernel.numpy()
    assert np.abs(difference).max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_saves_and_loads(variant, tmp_path):
    layer, x = make(**VARIANTS[variant])
    inputs = keras.Input(SHAPE[1:])
    outputs, scores = layer(inputs, return_attention_scores=True)
    assert outputs.shape == (None, *SHAPE[1:])
    assert scores.shape == (None, 24, 24 // layer.pool_size**2)
    model = keras.Model(inputs, [outputs, scores])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for actual, expected in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(actual, expected)
    restored = SelfAttention.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()


def test_takes_maps_of_any_size():
    inputs = keras.Input((None, None, 16))
    layer = SelfAttention()
    model = keras.Model(inputs, layer(inputs))
    for shape in ((1, 3, 5, 16), (2, 7, 2, 16)):
        x = np.ones(shape, "float32")
        np.testing.assert_array_equal(model(x), x)


@pytest.mark.parametrize(
    ("kwargs", "shape", "message"),
    [
        ({}, (2, 4, 4, 7), "key_reduction=8 needs at least"),
        ({"pool_size": 2}, (2, 4, 5, 16), "multiples of pool_size=2"),
        ({}, (2, 4, 16), "feature map"),
        ({}, (2, 4, 4, None), "known number of channels"),
    ],
)
def test_refuses_bad_shapes(kwargs, shape, message):
    with pytest.raises(ValueError, match=message):
        SelfAttention(**kwargs).build(shape)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"key_reduction": 0},
        {"pool_size": 1.5},
        {"value_reduction": 2},
        {"normalize_over": "values"},
    ],
)
def test_refuses_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        SelfAttention(**kwargs)


def test_refuses_a_map_that_the_pool_does_not_divide_after_building():
    layer = SelfAttention(pool_size=2)
    layer.build((None, None, None, 8))
    assert layer(np.zeros((1, 4, 6, 8), "float32")).shape == (1, 4, 6, 8)
    with pytest.raises(ValueError, match="multiples of pool_size=2"):
        layer(np.zeros((1, 4, 5, 8), "float32"))
