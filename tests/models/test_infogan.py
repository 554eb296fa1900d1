import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import SAGAN
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from tests.contract import count, randomize

# The original's layers in NumPy, from their definitions.


def convolve(x, layer):
    """A 4x4 convolution with "same" padding."""
    kernel, bias = (np.float64(w) for w in layer.get_weights())
    stride = layer.strides[0]
    before, after = (1, 1) if stride == 2 else (1, 2)
    x = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    size = (x.shape[1] - 4) // stride + 1
    out = np.zeros((len(x), size, size, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            patch = x[:, i * stride :, j * stride :][:, :4, :4]
            out[:, i, j] = np.einsum("bhwc,hwcd->bd", patch, kernel)
    return out + bias


def convolve_transposed(x, layer):
    """A 4x4 transposed convolution with stride 2: each pixel adds to 4x4 others."""
    kernel, bias = (np.float64(w) for w in layer.get_weights())
    size = x.shape[1]
    out = np.zeros((len(x), 2 * size + 2, 2 * size + 2, kernel.shape[2]))
    for i in range(size):
        for j in range(size):
            added = np.einsum("bc,hwdc->bhwd", x[:, i, j], kernel)
            out[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += added
    return out[:, 1:-1, 1:-1] + bias


def multiply(x, layer):
    kernel, bias = (np.float64(w) for w in layer.get_weights())
    return x @ kernel + bias


def normalize(x, layer):
    gamma, beta, mean, variance = (np.float64(w) for w in layer.get_weights())
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


def attend(x, layer):
    def project(block):
        convolution, normalization, _ = block.layers
        y = relu(normalize(convolve(x, convolution), normalization))
        return y.reshape(len(x), -1, y.shape[-1])

    query, key, value = project(layer.query), project(layer.key), project(layer.value)
    weights = np.exp(np.einsum("bnc,bmc->bnm", query, key))
    weights /= weights.sum(axis=2, keepdims=True)
    attended = np.einsum("bnm,bmc->bnc", weights, value).reshape(x.shape)
    return float(layer.gamma) * attended + x, weights


def test_generator_equals_numpy():
    generator = InfoGANGenerator(width=4)
    generator.build((None, 62))
    randomize(generator)
    z = np.random.default_rng(1).uniform(-1, 1, (3, 62))
    images, scores = generator(z.astype("float32"), return_attention_scores=True)

    dense1, bn1, _, dense2, bn2, _, _, attention, conv, bn3, _ = generator.stack
    x = relu(normalize(multiply(z, dense1), bn1))
    x = relu(normalize(multiply(x, dense2), bn2)).reshape(3, 7, 7, 8)
    x, weights = attend(x, attention)
    x = relu(normalize(convolve_transposed(x, conv), bn3))
    pixels = 1 / (1 + np.exp(-convolve_transposed(x, generator.to_image)))
    np.testing.assert_allclose((images + 1) / 2, pixels, atol=1e-5)
    np.testing.assert_allclose(scores["attention_7x7"], weights, atol=1e-5)


def test_discriminator_equals_numpy():
    discriminator = InfoGANDiscriminator(width=4)
    discriminator.build((None, 28, 28, 1))
    randomize(discriminator)
    pixels = np.random.default_rng(1).uniform(0, 1, (3, 28, 28, 1))
    logits, scores = discriminator(
        (2 * pixels - 1).astype("float32"), return_attention_scores=True
    )

    _, conv1, _, conv2, bn1, _, attention, _, dense, bn2, _ = discriminator.stack
    x = relu(convolve(pixels, conv1), 0.2)
    x = relu(normalize(convolve(x, conv2), bn1), 0.2)
    x, weights = attend(x, attention)
    x = relu(normalize(multiply(x.reshape(3, -1), dense), bn2), 0.2)
    expected = multiply(x, discriminator.to_logit)[:, 0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4)
    np.testing.assert_allclose(scores["attention_7x7"], weights, atol=1e-5)


def test_parameters_are_those_of_the_original():
    attention = 2 * (16 * 128 * 16 + 16 + 32) + 16 * 128 * 128 + 128 + 256 + 1
    generator = InfoGANGenerator()
    generator.build((None, 62))
    assert count(generator.trainable_variables) == (
        (62 * 1024 + 1024 + 2 * 1024)
        + (1024 * 6272 + 6272 + 2 * 6272)
        + attention
        + (16 * 128 * 64 + 64 + 2 * 64)
        + (16 * 64 + 1)
    )
    discriminator = InfoGANDiscriminator()
    discriminator.build((None, 28, 28, 1))
    assert count(discriminator.trainable_variables) == (
        (16 * 64 + 64)
        + (16 * 64 * 128 + 128 + 2 * 128)
        + attention
        + (6272 * 1024 + 1024 + 2 * 1024)
        + (1024 + 1)
    )


def test_initial_weights_are_those_of_the_original():
    generator, discriminator = InfoGANGenerator(), InfoGANDiscriminator()
    generator.build((None, 62))
    discriminator.build((None, 28, 28, 1))
    for variable in generator.variables + discriminator.variables:
        if variable.name == "kernel":
            # Truncation at two standard deviations leaves 0.88 of the deviation.
            convolution = len(variable.shape) == 4 and "transpose" not in variable.path
            truncated = convolution and "to_image" not in variable.path
            deviation = 0.0176 if truncated else 0.02
            assert np.std(variable) == pytest.approx(deviation, rel=0.1), variable.path
            assert (np.abs(variable).max() <= 0.04) == truncated, variable.path
        else:
            one = variable.name in ("moving_variance",) or (
                variable.name == "gamma" and variable.shape != ()
            )
            assert np.all(variable == float(one)), variable.path


def test_a_generator_update_does_not_change_the_discriminators_statistics():
    model = SAGAN(
        InfoGANGenerator(width=4, image_size=8),
        InfoGANDiscriminator(width=4, image_size=8),
        latent_distribution="uniform",
    )
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    before = [variable.numpy() for variable in model.discriminator.variables]
    images = tf.zeros([4, 8, 8, 1])
    model._train_generator(images)
    for value, variable in zip(before, model.discriminator.variables, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    model._train_discriminator(images, update=0)
    changed = {
        variable.path
        for value, variable in zip(before, model.discriminator.variables, strict=True)
        if (value != variable.numpy()).any()
    }
    statistics = {v.path for v in model.discriminator.non_trainable_variables}
    assert len(statistics) == 10 and statistics <= changed
