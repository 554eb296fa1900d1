import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf.layers import DiscriminatorBlock, GeneratorBlock, ResidualBlock
from tests.backends import array
from tests.contract import randomize

LABELS = np.array([1, 0], np.int32)


def maps(size=6, channels=5):
    random = np.random.default_rng(0)
    return random.normal(size=(2, size, size, channels)).astype("float32")


def convolve(x, layer, mode="constant"):
    kernel, bias = map(np.float64, layer.get_weights())
    size = kernel.shape[0]
    border = size // 2
    padded = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode)
    height, width = x.shape[1:3]
    return bias + sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def pool(x):
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def upsample(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def normalize(x, layer, labels=None):
    if labels is None:
        gamma, beta, mean, variance = layer.get_weights()
    else:
        mean, variance = layer.normalization.get_weights()
        gamma, beta = (
            table.get_weights()[0][labels][:, None, None]
            for table in (layer.gain, layer.shift)
        )
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("reflects", [False, True])
def test_generator_block_equals_numpy(num_classes, reflects):
    block = GeneratorBlock(
        4,
        num_classes=num_classes,
        spectral_normalization=False,
        reflection_padding=reflects,
    )
    x, labels = maps(), LABELS if num_classes else None
    block.build(x.shape)
    randomize(block)
    outputs = array(block(x, labels))
    mode = "reflect" if reflects else "constant"
    y = upsample(relu(normalize(x, block.normalize_1, labels)))
    y = relu(
        normalize(convolve(y, block.convolution_1, mode), block.normalize_2, labels)
    )
    y = convolve(y, block.convolution_2, mode) + convolve(upsample(x), block.shortcut)
    assert outputs.shape == block.compute_output_shape(x.shape) == (2, 12, 12, 4)
    np.testing.assert_allclose(outputs, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"first": True},
        {"downsample": False},
        {"downsample": False, "filters": 5},
        {"slope": 0.2, "reflection_padding": True},
    ],
    ids=str,
)
def test_discriminator_block_equals_numpy(settings):
    settings = {"filters": 4, **settings}
    block = DiscriminatorBlock(spectral_normalization=False, **settings)
    x = maps()
    before = x.copy()
    block.build(x.shape)
    randomize(block)
    outputs = array(block(x))
    slope = settings.get("slope", 0.0)
    mode = "reflect" if settings.get("reflection_padding") else "constant"
    scale = pool if settings.get("downsample", True) else lambda maps: maps
    y = x if settings.get("first") else relu(x, slope)
    y = relu(convolve(y, block.convolution_1, mode), slope)
    y = scale(convolve(y, block.convolution_2, mode))
    identity = settings["filters"] == 5
    assert (block.shortcut is None) == identity
    # x itself: with in-place ReLUs, some ports add ReLU(x) here.
    y += x if identity else scale(convolve(x, block.shortcut))
    assert outputs.shape == block.compute_output_shape(x.shape)
    np.testing.assert_allclose(outputs, y, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_kernels_are_divided_by_their_norm(policy):
    block = DiscriminatorBlock(4, dtype=policy)
    x = maps()
    for _ in range(100):
        outputs = block(x, training=True)
    plain = DiscriminatorBlock(4, spectral_normalization=False)
    plain(x)
    for name in ("convolution_1", "convolution_2", "shortcut"):
        layer = getattr(block, name).layer
        kernel = array(layer.kernel)
        sigma = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
        getattr(plain, name).set_weights([kernel / sigma, array(layer.bias)])
    np.testing.assert_allclose(
        array(ops.cast(outputs, "float32")),
        array(plain(x)),
        atol=1e-3 if policy == "float32" else 0.1,
    )


def test_the_block_in_the_place_of_attention():
    block = ResidualBlock(2, spectral_normalization=False)
    x = maps()
    outputs = array(block(x))
    hidden = block.convolution_1(np.maximum(x, 0))
    expected = x + array(block.convolution_2(np.maximum(array(hidden), 0)))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    assert np.abs(outputs - x).max() > 0.01


def test_convolutions_of_a_block_start_differently():
    block = DiscriminatorBlock(5, kernel_initializer=keras.initializers.Orthogonal())
    block(maps())
    first, second = (
        array(layer.layer.kernel)
        for layer in (block.convolution_1, block.convolution_2)
    )
    assert np.abs(first - second).max() > 0.1
