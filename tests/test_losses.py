import math

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.losses import LOSSES

REAL = np.float32([2.0, -0.5])
FAKE = np.float32([-3.0, 1.0])


def softplus(x):
    return math.log1p(math.exp(x))


# Worked out by hand from SPEC's table.
EXPECTED = {
    "hinge": ((0 + 1.5) / 2 + (0 + 2) / 2, (3 - 1) / 2),
    "non_saturating": (
        (softplus(-2) + softplus(0.5)) / 2 + (softplus(-3) + softplus(1)) / 2,
        (softplus(3) + softplus(-1)) / 2,
    ),
    "lsgan": ((1 + 2.25) / 2 + (9 + 1) / 2, (16 + 0) / 2),
    "wgan": (-1 - 0.75, 1.0),
}
# Gradients of the generator's loss with respect to the logits.
GENERATOR_GRADIENTS = {
    "hinge": [-0.5, -0.5],
    "non_saturating": [-0.5 / (1 + math.exp(-3)), -0.5 / (1 + math.exp(1))],
    "lsgan": [-4.0, 0.0],
    "wgan": [-0.5, -0.5],
}


# Of the discriminator's, with respect to the logits of real and of generated images.
DISCRIMINATOR_GRADIENTS = {
    "hinge": ([0, -0.5], [0, 0.5]),
    "non_saturating": (
        [-0.5 / (1 + math.exp(2)), -0.5 / (1 + math.exp(-0.5))],
        [0.5 / (1 + math.exp(3)), 0.5 / (1 + math.exp(-1))],
    ),
    "lsgan": ([1, -1.5], [-3, 1]),
    "wgan": ([-0.5, -0.5], [0.5, 0.5]),
}


def test_every_loss_is_checked():
    assert set(EXPECTED) == set(LOSSES) == set(GENERATOR_GRADIENTS)
    assert set(LOSSES) == set(DISCRIMINATOR_GRADIENTS)


@pytest.mark.parametrize("name", EXPECTED)
def test_equals_the_number_by_hand(name):
    loss = LOSSES[name]
    discriminator, generator = EXPECTED[name]
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator, 1e-6)
    assert float(loss.generator(FAKE)) == pytest.approx(generator, 1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_gradient_equals_the_one_by_hand(name):
    logits = tf.constant(FAKE)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = LOSSES[name].generator(logits)
    gradient = tape.gradient(value, logits)
    np.testing.assert_allclose(gradient, GENERATOR_GRADIENTS[name], rtol=1e-5)

    logits = tf.constant(REAL), tf.constant(FAKE)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = LOSSES[name].discriminator(*logits)
    gradients = tape.gradient(value, logits)
    for gradient, expected in zip(
        gradients, DISCRIMINATOR_GRADIENTS[name], strict=True
    ):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_half_precision_logits_give_a_float32_loss(name):
    real, fake = (tf.cast(logits, tf.bfloat16) for logits in (REAL, FAKE))
    value = LOSSES[name].discriminator(real, fake)
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(EXPECTED[name][0], rel=1e-2)
