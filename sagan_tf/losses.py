"""The adversarial losses: pure functions from logits to a float32 scalar.

All are means over the batch. `real_logits` and `fake_logits` are the discriminator's
outputs, float `[batch]`, before any sigmoid.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from sagan_tf.types import Tensor


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """`mean(relu(1 - D(x))) + mean(relu(1 + D(G(z))))`, the loss of SAGAN.

    Reference: [Lim and Ye, 2017](https://arxiv.org/abs/1705.02894).
    """
    return _mean(ops.relu(1.0 - real_logits)) + _mean(ops.relu(1.0 + fake_logits))


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """`-mean(D(G(z)))`."""
    return -_mean(fake_logits)


def non_saturating_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor
) -> Tensor:
    """`mean(softplus(-D(x))) + mean(softplus(D(G(z))))`: cross-entropy on logits.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661).
    """
    return _mean(ops.softplus(-real_logits)) + _mean(ops.softplus(fake_logits))


def non_saturating_generator_loss(fake_logits: Tensor) -> Tensor:
    """`mean(softplus(-D(G(z))))`."""
    return _mean(ops.softplus(-fake_logits))


def lsgan_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """`mean((D(x) - 1)**2) + mean(D(G(z))**2)`.

    Reference: [Mao et al., 2016](https://arxiv.org/abs/1611.04076).
    """
    return _mean(ops.square(real_logits - 1.0)) + _mean(ops.square(fake_logits))


def lsgan_generator_loss(fake_logits: Tensor) -> Tensor:
    """`mean((D(G(z)) - 1)**2)`."""
    return _mean(ops.square(fake_logits - 1.0))


def wgan_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """`mean(D(G(z))) - mean(D(x))`.

    Reference: [Arjovsky et al., 2017](https://arxiv.org/abs/1701.07875).
    """
    return _mean(fake_logits) - _mean(real_logits)


def wgan_generator_loss(fake_logits: Tensor) -> Tensor:
    """`-mean(D(G(z)))`."""
    return -_mean(fake_logits)


class AdversarialLoss(NamedTuple):
    """The losses of the two networks.

    Attributes:
        discriminator: Function of `(real_logits, fake_logits)`.
        generator: Function of `(fake_logits)`; of `(real_logits, fake_logits)` if
            `generator_uses_real_logits`.
        generator_uses_real_logits: Boolean. True, for relativistic losses, costs a
            pass of the discriminator over real images in each generator update.
        has_bounded_logits: Boolean. False if the discriminator's logits are unbounded,
            so that large ones are no sign of a failure.

    Example:

    ```python
    relativistic = AdversarialLoss(
        lambda real, fake: ops.mean(ops.softplus(fake - real)),
        lambda real, fake: ops.mean(ops.softplus(real - fake)),
        generator_uses_real_logits=True,
    )
    model.compile(generator_optimizer, discriminator_optimizer, loss=relativistic)
    ```
    """

    discriminator: Callable
    generator: Callable
    generator_uses_real_logits: bool = False
    has_bounded_logits: bool = True


LOSSES = {
    "hinge": AdversarialLoss(hinge_discriminator_loss, hinge_generator_loss),
    "non_saturating": AdversarialLoss(
        non_saturating_discriminator_loss, non_saturating_generator_loss
    ),
    "lsgan": AdversarialLoss(lsgan_discriminator_loss, lsgan_generator_loss),
    "wgan": AdversarialLoss(
        wgan_discriminator_loss, wgan_generator_loss, has_bounded_logits=False
    ),
}


def get(identifier: Any) -> AdversarialLoss:
    """Returns a loss by its name, by its serialized form, or as it is.

    Args:
        identifier: A key of `LOSSES`, a dict from `serialize`, or an `AdversarialLoss`.

    Raises:
        ValueError: if there is no such loss.
    """
    if isinstance(identifier, AdversarialLoss):
        return identifier
    if isinstance(identifier, dict):
        functions = {
            name: keras.saving.deserialize_keras_object(identifier[name])
            for name in ("discriminator", "generator")
        }
        return AdversarialLoss(**{**identifier, **functions})
    if identifier not in LOSSES:
        raise ValueError(
            f"`loss` must be one of {', '.join(LOSSES)} or an `AdversarialLoss`. "
            f"Received: loss={identifier}"
        )
    return LOSSES[identifier]


def serialize(loss: AdversarialLoss) -> Any:
    """Returns the name of a loss of `LOSSES`, or a dict with its functions.

    Functions of your own load again if they are registered with
    `keras.saving.register_keras_serializable` or given as `custom_objects`.
    """
    for name, known in LOSSES.items():
        if loss == known:
            return name
    serialize_function = keras.saving.serialize_keras_object
    return {
        "discriminator": serialize_function(loss.discriminator),
        "generator": serialize_function(loss.generator),
        "generator_uses_real_logits": loss.generator_uses_real_logits,
        "has_bounded_logits": loss.has_bounded_logits,
    }


def _mean(values: Tensor) -> Tensor:
    # In float32: half precision would lose digits of the mean.
    return ops.mean(ops.cast(values, "float32"))
