import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gradient_penalties import PENALTIES

SEED = tf.constant([3, 4])


def images(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (5, 4, 4, 2)).astype("float32")


def norms(values):
    return np.sqrt((np.float64(values) ** 2).sum(axis=(1, 2, 3)))


class Quadratic:
    """`D(x) = a |x|**2 / 2`, whose gradient is `a x`; stores its last input."""

    def __init__(self, a=1.0):
        self.a = tf.Variable(a)

    def __call__(self, x):
        self.seen = x.numpy()
        return self.a * tf.reduce_sum(x**2, axis=[1, 2, 3]) / 2


@pytest.mark.parametrize("a", [0.05, 0.3, 2.0])
def test_penalties_equal_numpy_with_their_gradients(a):
    """At the points of the penalty: |grad| = a |x|, d|grad| / da = |x|."""
    for name, penalty in PENALTIES.items():
        discriminate = Quadratic(a)
        with tf.GradientTape() as tape:
            actual = penalty(discriminate, images(0), images(1), SEED)
        length = norms(discriminate.seen)
        excess = a * length - 1
        if name == "lp":
            excess = np.maximum(excess, 0)
        if name == "r1":
            expected = np.mean((a * length) ** 2) / 2
            gradient = np.mean(a * length**2)
        else:
            expected = np.mean(excess**2)
            gradient = np.mean(2 * excess * length)
        assert float(actual) == pytest.approx(expected, rel=1e-5, abs=1e-8), name
        derivative = tape.gradient(actual, discriminate.a)
        assert float(derivative) == pytest.approx(gradient, rel=1e-4, abs=1e-8), name


@pytest.mark.parametrize("name", ["gp", "lp"])
def test_points_are_uniform_on_lines_between_real_and_fake(name):
    real, fake = (
        np.zeros((4000, 1, 1, 2), "float32"),
        np.ones((4000, 1, 1, 2), "float32"),
    )
    fake[..., 1] = -2
    discriminate = Quadratic()
    PENALTIES[name](discriminate, real, fake, SEED)
    fraction = discriminate.seen[:, 0, 0, 0]
    np.testing.assert_allclose(discriminate.seen[:, 0, 0, 1], -2 * fraction, atol=1e-6)
    assert fraction.min() >= 0 and fraction.max() <= 1
    quartiles = np.quantile(fraction, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=0.03)


def test_dragan_uses_points_around_real_images():
    real = np.random.default_rng(0).uniform(-1, 1, (500, 8, 8, 1)).astype("float32")
    discriminate = Quadratic()
    PENALTIES["dragan"](discriminate, real, images(1), SEED)
    away = (discriminate.seen - real) / real.std()
    # Noise up to half a standard deviation, times one random fraction per image.
    assert away.min() >= 0
    fractions = away.max(axis=(1, 2, 3)) / 0.5
    np.testing.assert_allclose(
        np.quantile(fractions, [0.25, 0.5, 0.75, 1]), [0.25, 0.5, 0.75, 1], atol=0.06
    )
    inside = away / away.max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(
        np.quantile(inside, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03
    )


def test_r1_uses_real_images():
    discriminate = Quadratic()
    PENALTIES["r1"](discriminate, images(0), images(1), SEED)
    np.testing.assert_array_equal(discriminate.seen, images(0))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_gradient_of_zero_has_a_gradient(name):
    weight = tf.Variable(tf.zeros([2]))
    with tf.GradientTape() as tape:
        value = PENALTIES[name](
            lambda x: tf.reduce_sum(x * weight, axis=[1, 2, 3]),
            images(),
            images(1),
            SEED,
        )
    assert np.isfinite(value)
    gradient = tape.gradient(value, weight)
    assert gradient is not None and np.isfinite(gradient).all()


def test_draws_are_a_function_of_the_seed():
    first, same, other = Quadratic(), Quadratic(), Quadratic()
    PENALTIES["gp"](first, images(0), images(1), SEED)
    PENALTIES["gp"](same, images(0), images(1), SEED)
    PENALTIES["gp"](other, images(0), images(1), SEED + 1)
    np.testing.assert_array_equal(first.seen, same.seen)
    assert np.abs(first.seen - other.seen).max() > 0.01
