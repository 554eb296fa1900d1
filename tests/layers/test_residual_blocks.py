import keras
import numpy as np
import pytest
import tensorflow as tf
from sagan_tf.layers.residual_blocks import ReflectionConv2D

from sagan_tf.layers import DiscriminatorBlock, GeneratorBlock

LABELS = np.array([1, 0], np.int32)


def maps(size=6, channels=5):
    random = np.random.default_rng(0)
    return random.normal(size=(2, size, size, channels)).astype("float32")


def randomize(block):
    random = np.random.default_rng(1)
    for variable in block.variables:
        if "variance" in variable.path:
            variable.assign(random.uniform(0.2, 1, variable.shape))
        elif "seed" not in variable.path:  # of both signs, or no ReLU would act
            variable.assign(random.normal(size=variable.shape))


def convolve(x, layer, mode="constant"):
    kernel, bias = (np.float64(w) for w in layer.get_weights())
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
    outputs = block(x, labels)
    randomize(block)
    outputs = block(x, labels)
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
        {"negative_slope": 0.2, "reflection_padding": True},
    ],
    ids=str,
)
def test_discriminator_block_equals_numpy(settings):
    settings = {"filters": 4, **settings}
    block = DiscriminatorBlock(spectral_normalization=False, **settings)
    x = maps()
    before = x.copy()
    block(x)
    randomize(block)
    outputs = block(x)
    slope = settings.get("negative_slope", 0.0)
    mode = "reflect" if settings.get("reflection_padding") else "constant"
    scale = pool if settings.get("downsample", True) else lambda maps: maps
    y = x if settings.get("first") else relu(x, slope)
    y = relu(convolve(y, block.convolution_1, mode), slope)
    y = scale(convolve(y, block.convolution_2, mode))
    identity = settings["filters"] == 5
    assert (block.shortcut is None) == identity
    # x itself, and not ReLU(x), which ReLUs in place have made of it in some ports.
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
    assert outputs.dtype == block.compute_dtype
    plain = DiscriminatorBlock(4, spectral_normalization=False)
    plain(x)
    for name in ("convolution_1", "convolution_2", "shortcut"):
        layer = getattr(block, name).layer
        kernel = layer.kernel.numpy()
        sigma = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
        getattr(plain, name).set_weights([kernel / sigma, layer.bias.numpy()])
    np.testing.assert_allclose(
        tf.cast(outputs, "float32"),
        plain(x),
        atol=1e-3 if policy == "float32" else 0.1,
    )


def test_convolutions_of_a_block_start_differently():
    block = DiscriminatorBlock(5, kernel_initializer=keras.initializers.Orthogonal())
    block(maps())
    first, second = block.convolution_1.kernel, block.convolution_2.kernel
    assert np.abs(first.numpy() - second.numpy()).max() > 0.1


@pytest.mark.parametrize(
    "block",
    [
        GeneratorBlock(
            4,
            num_classes=3,
            normalization={"momentum": 0.5, "spectral_normalization": True},
        ),
        DiscriminatorBlock(4, first=True, reflection_padding=True),
        ReflectionConv2D(4, 3),
    ],
    ids=lambda block: type(block).__name__,
)
def test_saves_and_loads(block, tmp_path):
    images = keras.Input((6, 6, 5))
    inputs = [images]
    if isinstance(block, GeneratorBlock):
        inputs.append(keras.Input((), dtype="int32"))
    model = keras.Model(inputs, block(*inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    values = [maps(), LABELS][: len(inputs)]
    np.testing.assert_array_equal(loaded(values), model(values))
