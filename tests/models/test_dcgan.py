import keras
import numpy as np
import pytest

from sagan_tf import DCGANDiscriminator, DCGANGenerator


def latents(count=2, latent_dim=128):
    return keras.random.normal((count, latent_dim), seed=1)


def pictures(model, count=2):
    shape = (count, model.image_size, model.image_size, model.channels)
    return keras.random.uniform(shape, -1, 1, seed=1)


def count_parameters(model):
    return sum(np.prod(w.shape, dtype=int) for w in model.trainable_variables)


def test_parameters_are_those_of_the_seed():
    generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    generator.build((None, 128))
    discriminator.build((None, 64, 64, 3))
    assert count_parameters(generator) == 3_832_885
    assert count_parameters(discriminator) == 3_175_299


def test_attention_maps_are_those_of_the_seed():
    generator, discriminator = DCGANGenerator(width=8), DCGANDiscriminator(width=8)
    images, scores = generator(latents(), return_attention_scores=True)
    assert images.shape == (2, 64, 64, 3)
    assert {name: tuple(score.shape) for name, score in scores.items()} == {
        "attention_16x16": (2, 256, 256),
        "attention_32x32": (2, 1024, 1024),
    }
    logits, scores = discriminator(images, return_attention_scores=True)
    assert logits.shape == (2,)
    assert {name: tuple(score.shape) for name, score in scores.items()} == {
        "attention_8x8": (2, 64, 64),
        "attention_4x4": (2, 16, 16),
    }


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
def test_every_size_and_channel_count(image_size, channels):
    # Attention at the smallest and the largest map each size has room for.
    at = (4, min(image_size // 2, 64))
    settings = {"image_size": image_size, "channels": channels, "width": 8}
    generator = DCGANGenerator(**settings, attention_resolutions=at)
    discriminator = DCGANDiscriminator(**settings, attention_resolutions=at)
    images, generator_scores = generator(latents(1), return_attention_scores=True)
    assert images.shape == (1, image_size, image_size, channels)
    assert images.shape[1:] == generator.compute_output_shape((1, 128))[1:]
    assert np.abs(images).max() <= 1
    logits, scores = discriminator(images, return_attention_scores=True)
    assert logits.shape == (1,)
    for resolution in at:
        positions = resolution**2
        name = f"attention_{resolution}x{resolution}"
        assert scores[name].shape == (1, positions, positions)
        assert generator_scores[name].shape == (1, positions, positions)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_outputs_and_variables_are_float32_under_every_policy(policy):
    small = {"image_size": 32, "width": 8, "dtype": policy}
    generator = DCGANGenerator(**small, attention_resolutions=(8,))
    discriminator = DCGANDiscriminator(**small, attention_resolutions=(8,))
    images = generator(latents(), training=True)
    logits = discriminator(images, training=True)
    for values in (images, logits, *generator.weights, *discriminator.weights):
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
    reference = DCGANGenerator(
        image_size=32, width=8, attention_resolutions=(8,), dtype="float32"
    )
    reference.build((None, 128))
    reference.set_weights(generator.get_weights())
    np.testing.assert_allclose(generator(latents()), reference(latents()), atol=0.02)


def test_images_are_what_tanh_makes_of_the_last_layer():
    generator = DCGANGenerator(image_size=32, width=8, attention_resolutions=())
    generator.build((None, 128))
    generator.to_image.kernel.assign(np.zeros(generator.to_image.kernel.shape))
    generator.to_image.bias.assign([-3.0, 0.5, 3.0])
    expected = np.broadcast_to(np.tanh([-3.0, 0.5, 3.0]), (2, 32, 32, 3))
    np.testing.assert_allclose(generator(latents()), expected, atol=1e-6)


def test_an_image_does_not_depend_on_its_batch_mates():
    generator = DCGANGenerator(image_size=32, width=8, attention_resolutions=(16,))
    generator(latents(8), training=True)
    together = generator(latents(8), training=False)
    alone = generator(latents(8)[3:4], training=False)
    np.testing.assert_allclose(together[3:4], alone, atol=1e-6)


def test_starts_as_pytorch_does():
    generator, discriminator = DCGANGenerator(width=32), DCGANDiscriminator(width=32)
    generator.build((None, 128))
    discriminator.build((None, 64, 64, 3))
    for layer, fan_in in (
        (generator.get_layer("sn_8x8"), 16 * 128),  # 128 outputs
        (discriminator.get_layer("sn_8x8"), 16 * 64),  # 64 inputs
    ):
        for values in (layer.kernel, layer.layer.bias):
            limit = fan_in**-0.5
            assert np.abs(values).max() <= limit
            assert np.abs(values).max() > 0.9 * limit
            np.testing.assert_allclose(
                np.std(values), limit / 3**0.5, rtol=0.02 if values.ndim > 1 else 0.3
            )


@pytest.mark.parametrize(("axis", "rows"), [("output", "outputs"), ("input", "inputs")])
def test_spectral_norm_axis_of_transposed_convolutions(axis, rows):
    generator = DCGANGenerator(image_size=32, width=8, spectral_norm_axis=axis)
    generator.build((None, 128))
    layer = generator.get_layer("sn_8x8")
    count = {"outputs": 16, "inputs": 32}[rows]
    assert layer.u.shape == (count,)
    kernel = np.moveaxis(layer.kernel.numpy(), -2 if axis == "output" else -1, 0)
    expected = np.linalg.svd(kernel.reshape(count, -1), compute_uv=False)[0]
    for _ in range(100):
        layer(np.zeros((1, 4, 4, 32), "float32"), training=True)
    np.testing.assert_allclose(layer.compute_sigma(), expected, rtol=1e-3)


@pytest.mark.parametrize("network", [DCGANGenerator, DCGANDiscriminator])
def test_saves_and_loads(network, tmp_path):
    model = network(image_size=32, channels=1, width=8, attention_resolutions=[8])
    inputs = latents() if network is DCGANGenerator else pictures(model)
    expected = model(inputs, training=True), model(inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(inputs), expected[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 48}, "image_size=48"),
        ({"channels": 2}, "channels=2"),
        ({"width": 0}, "width=0"),
        ({"attention_resolutions": (64,)}, r"can be at 4, 8, 16, 32\. Received"),
        ({"attention_resolutions": (5,)}, r"attention_resolutions=\(5,\)"),
    ],
)
@pytest.mark.parametrize("network", [DCGANGenerator, DCGANDiscriminator])
def test_refuses_what_it_cannot_have(network, settings, message):
    with pytest.raises(ValueError, match=message):
        network(**settings)


def test_generator_refuses_bad_arguments():
    with pytest.raises(ValueError, match="latent_dim=0"):
        DCGANGenerator(latent_dim=0)
    with pytest.raises(ValueError, match="spectral_norm_axis=rows"):
        DCGANGenerator(spectral_norm_axis="rows")
