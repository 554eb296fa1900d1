import math

import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf import losses
from sagan_tf.losses import LOSSES, AdversarialLoss
from tests.backends import array, dtype, gradients

REAL = np.float32([2.0, -0.5])
FAKE = np.float32([-3.0, 1.0])


def softplus(x):
    return math.log1p(math.exp(x))


# Computed by hand from the formulas in the docstrings.
EXPECTED = {
    "hinge": ((0 + 1.5) / 2 + (0 + 2) / 2, (3 - 1) / 2),
    "non_saturating": (
        (softplus(-2) + softplus(0.5)) / 2 + (softplus(-3) + softplus(1)) / 2,
        (softplus(3) + softplus(-1)) / 2,
    ),
    "lsgan": ((1 + 2.25) / 2 + (9 + 1) / 2, (16 + 0) / 2),
    "wgan": (-1 - 0.75, 1.0),
}
# Gradients of the generator's loss with respect to the generated logits.
GENERATOR_GRADIENTS = {
    "hinge": [-0.5, -0.5],
    "non_saturating": [-0.5 / (1 + math.exp(-3)), -0.5 / (1 + math.exp(1))],
    "lsgan": [-4.0, 0.0],
    "wgan": [-0.5, -0.5],
}

# Gradients of the discriminator's loss, for real and for generated images.
DISCRIMINATOR_GRADIENTS = {
    "hinge": ([0, -0.5], [0, 0.5]),
    "non_saturating": (
        [-0.5 / (1 + math.exp(2)), -0.5 / (1 + math.exp(-0.5))],
        [0.5 / (1 + math.exp(3)), 0.5 / (1 + math.exp(-1))],
    ),
    "lsgan": ([1, -1.5], [-3, 1]),
    "wgan": ([-0.5, -0.5], [0.5, 0.5]),
}


def generator_logits(loss, real, fake):
    return (real, fake) if loss.generator_uses_real_logits else (fake,)


def test_every_loss_is_checked():
    assert set(EXPECTED) == set(LOSSES) == set(GENERATOR_GRADIENTS)
    assert set(LOSSES) == set(DISCRIMINATOR_GRADIENTS)


@pytest.mark.parametrize("name", EXPECTED)
def test_equals_the_number_by_hand(name):
    loss = LOSSES[name]
    discriminator, generator = EXPECTED[name]
    assert float(array(loss.discriminator(REAL, FAKE))) == pytest.approx(
        discriminator, 1e-6
    )
    value = array(loss.generator(*generator_logits(loss, REAL, FAKE)))
    assert float(value) == pytest.approx(generator, 1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_gradient_equals_the_one_by_hand(name):
    real, fake = (keras.Variable(logits) for logits in (REAL, FAKE))
    loss = LOSSES[name]
    (gradient,) = gradients(
        lambda: loss.generator(*generator_logits(loss, real.value, fake.value)), [fake]
    )
    np.testing.assert_allclose(gradient, GENERATOR_GRADIENTS[name], rtol=1e-5)
    for gradient, expected in zip(
        gradients(lambda: loss.discriminator(real.value, fake.value), [real, fake]),
        DISCRIMINATOR_GRADIENTS[name],
        strict=True,
    ):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_half_precision_logits_give_a_float32_loss(name):
    real, fake = (ops.cast(logits, "bfloat16") for logits in (REAL, FAKE))
    value = LOSSES[name].discriminator(real, fake)
    assert dtype(value) == "float32"
    assert float(array(value)) == pytest.approx(EXPECTED[name][0], rel=1e-2)


def test_a_loss_is_found_by_name_and_serialized():
    own = AdversarialLoss(losses.hinge_discriminator_loss, losses.wgan_generator_loss)
    for name, loss in LOSSES.items():
        assert losses.get(name) is loss and losses.get(loss) is loss
        assert losses.serialize(loss) == name
    objects = {f.__name__: f for f in own[:2]}
    with keras.saving.custom_object_scope(objects):
        assert losses.get(losses.serialize(own)) == own
    with pytest.raises(ValueError, match="must be one of hinge, .*loss=hinges"):
        losses.get("hinges")
