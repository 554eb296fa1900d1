"""Penalties on the discriminator's gradient with respect to its images.

Each is a function of `(discriminate, real_images, fake_images, seed)` and gives a
float32 scalar, a mean over the batch, to be weighted and added to the discriminator's
loss. `discriminate` takes images to logits `[batch]`; `seed` is a pair of integers.
"""

import tensorflow as tf

# Inside the root of a norm, whose own gradient at 0 would not be a number.
_EPSILON = 1e-12


def gp(discriminate, real_images, fake_images, seed):
    """`mean((|grad D(x)| - 1)**2)`, `x` uniform on lines from real to generated images.

    Reference: [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028).
    """
    between = _between(real_images, fake_images, seed)
    return tf.reduce_mean((_gradient_norms(discriminate, between) - 1.0) ** 2)


def lp(discriminate, real_images, fake_images, seed):
    """As `gp`, but only norms above 1 count: `mean(relu(|grad D(x)| - 1)**2)`.

    Reference: [Petzka et al., 2017](https://arxiv.org/abs/1709.08894).
    """
    between = _between(real_images, fake_images, seed)
    return tf.reduce_mean(tf.nn.relu(_gradient_norms(discriminate, between) - 1.0) ** 2)


def dragan(discriminate, real_images, fake_images, seed):
    """As `gp`, but around real images: on lines to them with noise added.

    The noise is uniform in `[0, 1)` times half the standard deviation of the batch.

    Reference: [Kodali et al., 2017](https://arxiv.org/abs/1705.07215).
    """
    deviation = tf.math.reduce_std(real_images)
    noise = tf.random.stateless_uniform(
        tf.shape(real_images), _fold(seed, 1), alg="philox"
    )
    return gp(discriminate, real_images, real_images + 0.5 * deviation * noise, seed)


def r1(discriminate, real_images, fake_images, seed):
    """`mean(|grad D(x)|**2) / 2` at the real images.

    Reference: [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406).
    """
    return 0.5 * tf.reduce_mean(_squared_gradient_norms(discriminate, real_images))


PENALTIES = {"gp": gp, "lp": lp, "dragan": dragan, "r1": r1}


def _between(real_images, fake_images, seed):
    shape = [tf.shape(real_images)[0], 1, 1, 1]
    place = tf.random.stateless_uniform(shape, _fold(seed, 0), alg="philox")
    return real_images + place * (fake_images - real_images)


def _fold(seed, part):
    return tf.random.experimental.stateless_fold_in(seed, part)


def _gradient_norms(discriminate, images):
    return tf.sqrt(_squared_gradient_norms(discriminate, images) + _EPSILON)


def _squared_gradient_norms(discriminate, images):
    images = tf.convert_to_tensor(images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = tf.reduce_sum(discriminate(images))
    gradients = tf.cast(tape.gradient(logits, images), tf.float32)
    return tf.reduce_sum(gradients**2, axis=[1, 2, 3])
