"""The adversarial losses: pure functions from logits to a float32 scalar.

All are means over the batch of what SPEC calls hinge, non-saturating, least
squares and Wasserstein losses. `real_logits` and `fake_logits` are the
discriminator's outputs, float `[batch]`, before any sigmoid.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops


def hinge_discriminator_loss(real_logits, fake_logits):
    """`mean(relu(1 - D(x))) + mean(relu(1 + D(G(z))))`, the loss of SAGAN.

    Reference: [Lim and Ye, 2017](https://arxiv.org/abs/1705.02894).
    """
    return _mean(ops.relu(1.0 - real_logits)) + _mean(ops.relu(1.0 + fake_logits))


def hinge_generator_loss(fake_logits):
    """`-mean(D(G(z)))`."""
    return -_mean(fake_logits)


def non_saturating_discriminator_loss(real_logits, fake_logits):
    """`mean(softplus(-D(x))) + mean(softplus(D(G(z))))`: cross-entropy on logits.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661).
    """
    return _mean(ops.softplus(-real_logits)) + _mean(ops.softplus(fake_logits))


def non_saturating_generator_loss(fake_logits):
    """`mean(softplus(-D(G(z))))`."""
    return _mean(ops.softplus(-fake_logits))


def lsgan_discriminator_loss(real_logits, fake_logits):
    """`mean((D(x) - 1)**2) + mean(D(G(z))**2)`.

    Reference: [Mao et al., 2016](https://arxiv.org/abs/1611.04076).
    """
    return _mean(ops.square(real_logits - 1.0)) + _mean(ops.square(fake_logits))


def lsgan_generator_loss(fake_logits):
    """`mean((D(G(z)) - 1)**2)`."""
    return _mean(ops.square(fake_logits - 1.0))


def wgan_discriminator_loss(real_logits, fake_logits):
    """`mean(D(G(z))) - mean(D(x))`.

    Reference: [Arjovsky et al., 2017](https://arxiv.org/abs/1701.07875).
    """
    return _mean(fake_logits) - _mean(real_logits)


def wgan_generator_loss(fake_logits):
    """`-mean(D(G(z)))`."""
    return -_mean(fake_logits)


class AdversarialLoss(NamedTuple):
    """The two sides of a game.

    Attributes:
        discriminator: Function of `(real_logits, fake_logits)`.
        generator: Function of `(fake_logits)`.
    """

    discriminator: Callable
    generator: Callable


LOSSES = {
    "hinge": AdversarialLoss(hinge_discriminator_loss, hinge_generator_loss),
    "non_saturating": AdversarialLoss(
        non_saturating_discriminator_loss, non_saturating_generator_loss
    ),
    "lsgan": AdversarialLoss(lsgan_discriminator_loss, lsgan_generator_loss),
    "wgan": AdversarialLoss(wgan_discriminator_loss, wgan_generator_loss),
}


def _mean(values):
    # Half-precision logits are averaged in float32.
    return ops.mean(ops.cast(values, "float32"))
