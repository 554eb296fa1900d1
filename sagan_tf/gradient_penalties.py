"""Penalties on the discriminator's gradient with respect to its images.

Each is a function of `(discriminate, real_images, fake_images, seed)` that returns a
float32 scalar, a mean over the batch, to be weighted and added to the discriminator's
loss. `discriminate` maps images to logits `[batch]`; `seed` is a pair of integers.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from sagan_tf import replicas
from sagan_tf.types import Tensor

# Added inside the root of a norm, whose gradient at 0 would be NaN.
_EPSILON = 1e-12


def gp(
    discriminate: Callable, real_images: Tensor, fake_images: Tensor, seed: Sequence
) -> Tensor:
    """`mean((|grad D(x)| - 1)**2)`, `x` uniform between real and generated images.

    Reference: [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028).
    """
    points = _interpolate(real_images, fake_images, seed)
    return tf.reduce_mean((_gradient_norms(discriminate, points) - 1.0) ** 2)


def lp(
    discriminate: Callable, real_images: Tensor, fake_images: Tensor, seed: Sequence
) -> Tensor:
    """Like `gp`, but only norms above 1 count: `mean(relu(|grad D(x)| - 1)**2)`.

    Reference: [Petzka et al., 2017](https://arxiv.org/abs/1709.08894).
    """
    points = _interpolate(real_images, fake_images, seed)
    return tf.reduce_mean(tf.nn.relu(_gradient_norms(discriminate, points) - 1.0) ** 2)


def dragan(
    discriminate: Callable, real_images: Tensor, fake_images: Tensor, seed: Sequence
) -> Tensor:
    """Like `gp`, but between real images and the same images with noise.

    The noise is uniform in `[0, 1)`, times half the standard deviation of the batch.

    Reference: [Kodali et al., 2017](https://arxiv.org/abs/1705.07215).
    """

    def draw(size: Tensor) -> Tensor:
        shape = [size, *real_images.shape[1:]]
        return tf.random.stateless_uniform(shape, _fold(seed, 1), alg="philox")

    mean = replicas.mean(tf.reduce_mean(real_images))
    variance = replicas.mean(tf.reduce_mean((real_images - mean) ** 2))
    deviation = tf.sqrt(variance)
    noise = replicas.draw(draw, tf.shape(real_images)[0])
    return gp(discriminate, real_images, real_images + 0.5 * deviation * noise, seed)


def r1(
    discriminate: Callable, real_images: Tensor, fake_images: Tensor, seed: Sequence
) -> Tensor:
    """`mean(|grad D(x)|**2) / 2` at real images.

    Reference: [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406).
    """
    return 0.5 * tf.reduce_mean(_squared_gradient_norms(discriminate, real_images))


PENALTIES: dict[str, Callable] = {"gp": gp, "lp": lp, "dragan": dragan, "r1": r1}


def _interpolate(real_images: Tensor, fake_images: Tensor, seed: Tensor) -> Tensor:
    """Returns a random point on the line between each pair of images."""

    def draw(size: Tensor) -> Tensor:
        return tf.random.stateless_uniform(
            [size, 1, 1, 1], _fold(seed, 0), alg="philox"
        )

    fraction = replicas.draw(draw, tf.shape(real_images)[0])
    return real_images + fraction * (fake_images - real_images)


def _fold(seed: Tensor, value: int) -> Tensor:
    return tf.random.experimental.stateless_fold_in(seed, value)


def _gradient_norms(discriminate: Callable, images: Tensor) -> Tensor:
    return tf.sqrt(_squared_gradient_norms(discriminate, images) + _EPSILON)


def _squared_gradient_norms(discriminate: Callable, images: Tensor) -> Tensor:
    images = tf.convert_to_tensor(images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = tf.reduce_sum(discriminate(images))
    gradients = tf.cast(tape.gradient(logits, images), tf.float32)
    return tf.reduce_sum(gradients**2, axis=[1, 2, 3])
