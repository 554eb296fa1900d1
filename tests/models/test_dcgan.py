import numpy as np
import pytest

from sagan_tf import DCGANDiscriminator, DCGANGenerator
from tests.backends import array
from tests.contract import count


def latents(count=2):
    return np.random.default_rng(0).normal(size=(count, 128)).astype("float32")


def test_parameters_are_those_of_the_reference_implementation():
    generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    generator.build((None, 128))
    discriminator.build((None, 64, 64, 3))
    assert count(generator.trainable_variables) == 3_832_885
    assert count(discriminator.trainable_variables) == 3_175_299
    assert generator.attention_resolutions == (16, 32)
    assert discriminator.attention_resolutions == (8, 4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
def test_every_image_size_and_number_of_channels(image_size, channels):
    # Attention at the smallest map, and at the largest one that memory allows.
    resolutions = (4, min(image_size // 2, 64))
    settings = {
        "image_size": image_size,
        "channels": channels,
        "width": 8,
        "attention_resolutions": resolutions,
    }
    generator, discriminator = (
        DCGANGenerator(**settings),
        DCGANDiscriminator(**settings),
    )
    images, generator_scores = generator(latents(1), return_attention_scores=True)
    assert images.shape == (1, image_size, image_size, channels)
    assert np.abs(array(images)).max() <= 1
    logits, scores = discriminator(images, return_attention_scores=True)
    assert logits.shape == (1,)
    for resolution in resolutions:
        positions = resolution**2
        name = f"attention_{resolution}x{resolution}"
        assert scores[name].shape == (1, positions, positions)
        assert generator_scores[name].shape == (1, positions, positions)


def test_images_are_the_tanh_of_the_last_layer():
    generator = DCGANGenerator(image_size=32, width=8, attention_resolutions=())
    generator.build((None, 128))
    generator.to_image.kernel.assign(np.zeros(generator.to_image.kernel.shape))
    generator.to_image.bias.assign([-3.0, 0.5, 3.0])
    expected = np.broadcast_to(np.tanh([-3.0, 0.5, 3.0]), (2, 32, 32, 3))
    np.testing.assert_allclose(array(generator(latents())), expected, atol=1e-6)


def test_initial_weights_are_those_of_pytorch():
    generator, discriminator = DCGANGenerator(width=32), DCGANDiscriminator(width=32)
    generator.build((None, 128))
    discriminator.build((None, 64, 64, 3))
    for layer, fan_in in (
        (generator.get_layer("sn_8x8"), 16 * 128),  # 128 outputs
        (discriminator.get_layer("sn_8x8"), 16 * 64),  # 64 inputs
    ):
        for variable in (layer.kernel, layer.layer.bias):
            values, limit = array(variable.value), fan_in**-0.5
            assert np.abs(values).max() <= limit
            assert np.abs(values).max() > 0.9 * limit
            np.testing.assert_allclose(
                np.std(values), limit / 3**0.5, rtol=0.02 if values.ndim > 1 else 0.3
            )


@pytest.mark.parametrize(("axis", "rows"), [("output", 16), ("input", 32)])
def test_spectral_norm_axis_of_transposed_convolutions(axis, rows):
    generator = DCGANGenerator(image_size=32, width=8, spectral_norm_axis=axis)
    generator.build((None, 128))
    layer = generator.get_layer("sn_8x8")
    assert layer.u.shape == (rows,)
    kernel = np.moveaxis(array(layer.kernel), -2 if axis == "output" else -1, 0)
    expected = np.linalg.svd(kernel.reshape(rows, -1), compute_uv=False)[0]
    for _ in range(100):
        layer(np.zeros((1, 4, 4, 32), "float32"), training=True)
    np.testing.assert_allclose(array(layer.compute_sigma()), expected, rtol=1e-3)


def test_the_label_is_a_one_hot_vector_beside_the_latents():
    generator = DCGANGenerator(
        image_size=32, width=4, latent_dim=5, num_classes=3, attention_resolutions=()
    )
    latents = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    labels = np.array([2, 0], np.int32)
    generator(latents, labels)
    first = generator.stack[1].layer
    first.kernel.assign(np.float32(np.round(10 * array(first.kernel))))
    kernel = array(first.kernel)  # [4, 4, filters, latents and classes]
    inputs = np.concatenate([latents, np.eye(3)[labels]], axis=1)
    expected = np.einsum("hwfc,bc->bhwf", kernel, inputs) + array(first.bias)
    walked = [output for _, _, output, _ in generator.walk(latents, labels)]
    sigma = float(generator.stack[1].compute_sigma())
    outputs = (array(walked[1]) - array(first.bias)) * sigma + array(first.bias)
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)


def test_the_logit_has_the_projection_of_the_label():
    discriminator = DCGANDiscriminator(
        image_size=32,
        width=4,
        num_classes=3,
        attention_resolutions=(),
        spectral_normalization=False,
    )
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    labels = np.array([0, 2, 1, 2], np.int32)
    logits = array(discriminator(images, labels))
    x = images
    for layer in discriminator.stack:
        x = layer(x)
    x = np.float64(array(x))
    kernel, bias = map(array, discriminator.to_logit.weights)
    table = array(discriminator.embedding.embeddings)
    unconditional = np.einsum("bhwc,hwc->b", x, kernel[..., 0]) + bias
    projected = (x.sum(axis=(1, 2)) * table[labels]).sum(axis=1)
    assert np.abs(projected).min() > 1e-3
    np.testing.assert_allclose(logits, unconditional + projected, rtol=1e-4)
