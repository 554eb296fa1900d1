import subprocess
import sys

import keras
import numpy as np
import pytest

from sagan_tf.layers import ResidualBlock, SelfAttention
from sagan_tf.models import ResNetDiscriminator, ResNetGenerator
from tests.contract import count

SMALL = {"image_size": 32, "width": 8, "attention_resolutions": (8,)}


@pytest.mark.parametrize(
    ("attention", "generator_parameters", "discriminator_parameters"),
    [(32, 42_078_852, 39_463_618), (64, 42_017_412, 39_448_258)],
)
def test_parameters_are_those_of_the_official_code(
    attention, generator_parameters, discriminator_parameters
):
    settings = {"num_classes": 1000, "attention_resolutions": (attention,)}
    generator, discriminator = (
        ResNetGenerator(**settings),
        ResNetDiscriminator(**settings),
    )
    generator.build((None, 128))
    discriminator.build((None, 128, 128, 3))
    assert count(generator.trainable_variables) == generator_parameters
    assert count(discriminator.trainable_variables) == discriminator_parameters


def output_channels(network):
    return [
        (layer.name.split("_")[-1], layer.filters)
        for layer in network.stack
        if hasattr(layer, "filters")
    ]


def test_blocks_are_those_of_the_official_code():
    generator, discriminator = ResNetGenerator(), ResNetDiscriminator()
    assert output_channels(generator) == [
        ("8x8", 1024),
        ("16x16", 512),
        ("32x32", 256),
        ("64x64", 128),
        ("128x128", 64),
    ]
    assert output_channels(discriminator) == [
        ("64x64", 64),
        ("32x32", 128),
        ("16x16", 256),
        ("8x8", 512),
        ("4x4", 1024),
        ("4x4", 1024),
    ]
    names = [layer.name for layer in discriminator.stack]
    assert names[2] == "attention_32x32"


@pytest.mark.parametrize("attention", ["pooled", "full"])
@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize(
    "image_size",
    [
        32,
        64,
        128,
        *(pytest.param(size, marks=pytest.mark.exhaustive) for size in (256, 512)),
    ],
)
def test_every_image_size_with_and_without_classes(image_size, num_classes, attention):
    settings = {
        "image_size": image_size,
        "channels": 1,
        "width": 8,
        "num_classes": num_classes,
        "attention_resolutions": (8, 16),
        "attention": attention,
    }
    labels = np.array([2], np.int32) if num_classes else None
    generator, discriminator = (
        ResNetGenerator(**settings),
        ResNetDiscriminator(**settings),
    )
    images, scores = generator(
        np.ones((1, 128), "float32"), labels, return_attention_scores=True
    )
    assert images.shape == (1, image_size, image_size, 1)
    keys = 64 if attention == "pooled" else 256
    assert scores["attention_16x16"].shape == (1, 256, keys)
    logits, scores = discriminator(images, labels, return_attention_scores=True)
    assert logits.shape == (1,)
    assert scores["attention_8x8"].shape == (1, 64, keys // 4)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_projection_equals_numpy(slope):
    discriminator = ResNetDiscriminator(
        **SMALL, num_classes=3, spectral_normalization=False, slope=slope
    )
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    labels = np.array([2, 0, 1, 2], np.int32)
    logits = discriminator(images, labels)
    x = images
    for layer in discriminator.stack:
        x = layer(x)
    x = np.float64(x)
    h = np.where(x > 0, x, slope * x).sum(axis=(1, 2))
    kernel, bias = discriminator.to_logit.get_weights()
    (table,) = discriminator.embedding.get_weights()
    expected = h @ kernel[:, 0] + bias + (h * table[labels]).sum(axis=-1)
    np.testing.assert_allclose(logits, expected, rtol=1e-4)


def test_the_embedding_is_spectrally_normalized():
    discriminator = ResNetDiscriminator(**SMALL, num_classes=3)
    images, labels = np.zeros((1, 32, 32, 3), "float32"), np.zeros(1, np.int32)
    for _ in range(50):
        discriminator(images, labels, training=True)
    table = discriminator.embedding.layer.embeddings.numpy()
    expected = np.linalg.svd(table)[1][0]
    np.testing.assert_allclose(
        discriminator.embedding.compute_sigma(), expected, rtol=1e-3
    )


def test_classes_have_an_effect_once_their_tables_differ():
    generator = ResNetGenerator(**SMALL, num_classes=2)
    latents = np.ones((2, 128), "float32")
    labels = np.array([0, 1], np.int32)
    first, second = generator(latents, labels)
    np.testing.assert_array_equal(first, second)
    block = next(layer for layer in generator.stack if "block" in layer.name)
    block.normalize_1.shift.embeddings.assign(
        np.random.default_rng(0).normal(size=block.normalize_1.shift.embeddings.shape)
    )
    first, second = generator(latents, labels)
    assert np.abs(first - second).max() > 1e-3


def test_initializers():
    for initializer, deviation in (("normal", 0.02), ("xavier", None)):
        generator = ResNetGenerator(**SMALL, initializer=initializer)
        generator.build((None, 128))
        for variable in generator.trainable_variables:
            if variable.name != "kernel":
                continue
            fans = (
                np.prod(variable.shape[:-1]),
                (np.prod(variable.shape[:-2]) * variable.shape[-1]),
            )
            expected = deviation or np.sqrt(2 / sum(fans))
            assert np.std(variable) == pytest.approx(expected, rel=0.2), variable.path
    generator = ResNetGenerator(**SMALL, initializer="orthogonal")
    generator.build((None, 128))
    kernel = generator.to_image.kernel.numpy().reshape(-1, 3)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(3), atol=1e-5)


def test_settings_of_the_last_layers():
    generator = ResNetGenerator(
        **SMALL,
        normalize_to_image=False,
        batch_norm_epsilon=1e-4,
        last_batch_norm_momentum=0.5,
    )
    last = next(
        layer for layer in generator.stack if layer.name == "last_normalization"
    )
    assert (last.momentum, last.epsilon) == (0.5, 1e-4)
    assert isinstance(generator.to_image, keras.layers.Conv2D)


@pytest.mark.exhaustive
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_step_at_128_px_fits_in_memory(precision):
    """The networks of configs/imagenet128.py with 8 images, in their own process."""
    script = f"""
import dataclasses, resource
import numpy as np
import tensorflow as tf
from configs import imagenet128
from sagan_tf.models.builders import build_sagan
config = dataclasses.replace(
    imagenet128.get_config(),
    classes=tuple(map(str, range(1000))),
    precision={precision!r},
)
model = build_sagan(config)
networks = model.generator, model.discriminator
before = [[w.numpy() for w in network.trainable_variables] for network in networks]
images = np.random.default_rng(0).uniform(-1, 1, (8, 128, 128, 3)).astype("float32")
step = tf.function(model.train_step)
logs = step((tf.constant(images), tf.range(8)))
assert all(np.isfinite(value) for value in logs.values()), logs
for network, values in zip(networks, before):
    pairs = zip(network.trainable_variables, values)
    same = {{w.path.split("/", 2)[2] for w, b in pairs if (w.numpy() == b).all()}}
    # The kernels of attention have no gradient while gamma is 0; the last bias has
    # none while all logits are within the hinge's margins, where -1 and 1 cancel.
    kernels = {{path for path in same if path.startswith("attention_")}}
    assert len(kernels) == 4, same
    assert same - kernels <= {{"to_logit_sn/to_logit/bias"}}, same
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 8  # GiB


@pytest.mark.parametrize("width", [16, 64])
def test_the_residual_block_has_as_many_weights_as_attention(width):
    counts = []
    for attention in ("pooled", "residual"):
        network = ResNetGenerator(width=width, attention=attention)
        network.build((None, 128))
        (layer,) = (
            layer
            for layer in network.stack
            if isinstance(layer, (SelfAttention, ResidualBlock))
        )
        counts.append(sum(int(np.prod(w.shape)) for w in layer.trainable_weights))
    assert counts[1] == pytest.approx(counts[0], rel=0.12)
