"""The networks that `test_contract` tests, and the arguments that they must refuse.

A new architecture needs cases here that differ in each of its arguments.
"""

import numpy as np

from sagan_tf.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from tests.backends import BACKEND
from tests.contract import Case


def latents(size=128):
    return np.random.default_rng(0).normal(size=(3, size)).astype("float32")


def images(size=32, channels=3):
    shape = (3, size, size, channels)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")


LABELS = np.array([0, 2, 1], np.int32)
WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(3), 3).astype("float32")
# Keras synchronizes batch statistics under TensorFlow only.
SYNCHRONIZED = BACKEND == "tensorflow"


def attention(channels):
    """Parameters of full attention with biases: query, key, value and gamma."""
    return 2 * (channels * (channels // 8) + channels // 8) + channels**2 + channels + 1


def pooled(channels):
    """Parameters of the paper's attention, four kernels without biases, and gamma."""
    return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1


def conv(inputs, outputs, size=3):
    return size * size * inputs * outputs + outputs


def infogan_attention(channels):
    """Three 4x4 convolutions, each with batch normalization, and gamma."""
    keys = channels // 8
    return (
        2 * (conv(channels, keys, 4) + 2 * keys)
        + (conv(channels, channels, 4) + 2 * channels)
        + 1
    )


def generator_block(inputs, outputs, classes=0):
    rows = classes or 1
    return (
        2 * rows * (inputs + outputs)
        + conv(inputs, outputs)
        + conv(outputs, outputs)
        + conv(inputs, outputs, 1)
    )


def discriminator_block(inputs, outputs, shortcut=True):
    return (
        conv(inputs, outputs)
        + conv(outputs, outputs)
        + (conv(inputs, outputs, 1) if shortcut else 0)
    )


CASES = {
    # Maps: 4x4 of 32 channels, 8x8 of 16, 16x16 of 8, each with batch normalization.
    "dcgan_generator": Case(
        lambda **k: DCGANGenerator(image_size=32, width=8, **k),
        (latents(),),
        trainable=(conv(128, 32, 4) + conv(32, 16, 4) + conv(16, 8, 4) + conv(8, 3, 4))
        + 2 * (32 + 16 + 8)
        + attention(8),
        state=2 * (32 + 16 + 8) + (32 + 16 + 8),
        no_gradient=("key/bias",),
        attention={"attention_16x16": (256, 256)},
    ),
    "dcgan_generator_plain": Case(
        lambda **k: DCGANGenerator(
            image_size=64,
            channels=1,
            width=4,
            latent_dim=5,
            attention_resolutions=(4, 8),
            spectral_normalization=False,
            spectral_norm_axis="input",
            synchronized_batch_norm=SYNCHRONIZED,
            **k,
        ),
        (latents(5),),
        trainable=(conv(5, 32, 4) + conv(32, 16, 4) + conv(16, 8, 4) + conv(8, 4, 4))
        + conv(4, 1, 4)
        + 2 * (32 + 16 + 8 + 4)
        + attention(32)
        + attention(16),
        state=2 * (32 + 16 + 8 + 4),
        no_gradient=("key/bias",),
        attention={"attention_4x4": (16, 16), "attention_8x8": (64, 64)},
        tolerance=0.1,
    ),
    "dcgan_generator_conditional": Case(
        lambda **k: DCGANGenerator(
            image_size=32, width=8, num_classes=3, attention_resolutions=(), **k
        ),
        (latents(), WEIGHTS),
        trainable=(conv(131, 32, 4) + conv(32, 16, 4) + conv(16, 8, 4) + conv(8, 3, 4))
        + 2 * (32 + 16 + 8),
        state=2 * (32 + 16 + 8) + (32 + 16 + 8),
    ),
    "dcgan_discriminator": Case(
        lambda **k: DCGANDiscriminator(image_size=32, width=8, **k),
        (images(),),
        trainable=(conv(3, 8, 4) + conv(8, 16, 4) + conv(16, 32, 4) + conv(32, 1, 4))
        + attention(16)
        + attention(32),
        state=8 + 16 + 32,
        no_gradient=("key/bias",),
        attention={"attention_8x8": (64, 64), "attention_4x4": (16, 16)},
        tolerance=0.1,
    ),
    "dcgan_discriminator_conditional": Case(
        lambda **k: DCGANDiscriminator(
            image_size=32, width=8, num_classes=3, attention_resolutions=(), **k
        ),
        (images(), LABELS),
        trainable=(conv(3, 8, 4) + conv(8, 16, 4) + conv(16, 32, 4) + conv(32, 1, 4))
        + 3 * 32,
        state=8 + 16 + 32 + 32,
        tolerance=0.2,
    ),
    "dcgan_discriminator_plain": Case(
        lambda **k: DCGANDiscriminator(
            image_size=64,
            channels=4,
            width=4,
            attention_resolutions=(),
            spectral_normalization=False,
            **k,
        ),
        (images(64, 4),),
        trainable=(conv(4, 4, 4) + conv(4, 8, 4) + conv(8, 16, 4) + conv(16, 32, 4))
        + conv(32, 1, 4),
        tolerance=0.1,
    ),
    "resnet_generator": Case(
        lambda **k: ResNetGenerator(image_size=32, width=4, **k),
        (latents(),),
        trainable=(128 * 256 + 256)
        + 3 * generator_block(16, 16)
        + pooled(16)
        + 2 * 16
        + conv(16, 3),
        state=256 + 3 * (2 * 32 + 3 * 16) + (2 + 2 + 8 + 16) + 2 * 16 + 3,
        attention={"attention_16x16": (256, 64)},
        tolerance=0.1,
    ),
    "resnet_generator_conditional": Case(
        lambda **k: ResNetGenerator(
            image_size=64,
            channels=1,
            width=2,
            latent_dim=6,
            num_classes=3,
            attention_resolutions=(8, 16),
            attention="full",
            spectral_normalization=False,
            spectral_norm_epsilon=1e-8,
            normalize_to_image=False,
            reflection_padding=True,
            initializer="orthogonal",
            batch_norm_momentum=0.5,
            last_batch_norm_momentum=0.7,
            batch_norm_epsilon=1e-3,
            synchronized_batch_norm=SYNCHRONIZED,
            conditional_spectral_normalization=True,
            **k,
        ),
        (latents(6), LABELS),
        trainable=(6 * 512 + 512)
        + generator_block(32, 16, 3)
        + generator_block(16, 8, 3)
        + generator_block(8, 4, 3)
        + generator_block(4, 2, 3)
        + pooled(16)
        + pooled(8)
        + 2 * 2
        + conv(2, 1),
        state=4 * (32 + 16 + 16 + 8 + 8 + 4 + 4 + 2) + 2 * 2,
        attention={"attention_8x8": (64, 64), "attention_16x16": (256, 256)},
        tolerance=0.1,
    ),
    "resnet_generator_residual": Case(
        lambda **k: ResNetGenerator(image_size=32, width=4, attention="residual", **k),
        (latents(),),
        trainable=(128 * 256 + 256)
        + 3 * generator_block(16, 16)
        + (conv(16, 1) + conv(1, 16))  # 1.25 * 16 / 18 filters in between
        + 2 * 16
        + conv(16, 3),
        state=256 + 3 * (2 * 32 + 3 * 16) + (1 + 16) + 2 * 16 + 3,
        tolerance=0.1,
    ),
    "resnet_generator_weights": Case(
        lambda **k: ResNetGenerator(image_size=32, width=4, num_classes=3, **k),
        (latents(), WEIGHTS),
        trainable=(128 * 256 + 256)
        + 3 * generator_block(16, 16, 3)
        + pooled(16)
        + 2 * 16
        + conv(16, 3),
        state=256 + 3 * (2 * 32 + 3 * 16) + (2 + 2 + 8 + 16) + 2 * 16 + 3,
        attention={"attention_16x16": (256, 64)},
        tolerance=0.2,
    ),
    "resnet_discriminator": Case(
        lambda **k: ResNetDiscriminator(image_size=32, width=8, **k),
        (images(),),
        trainable=discriminator_block(3, 16)
        + discriminator_block(16, 16)
        + 2 * discriminator_block(16, 16, shortcut=False)
        + pooled(16)
        + 16
        + 1,
        state=2 * 3 * 16 + 2 * 2 * 16 + (2 + 2 + 8 + 16) + 1,
        attention={"attention_16x16": (256, 64)},
        tolerance=2.0,  # a sum over 64 positions
    ),
    "resnet_discriminator_conditional": Case(
        lambda **k: ResNetDiscriminator(
            image_size=64,
            channels=1,
            width=2,
            num_classes=3,
            attention_resolutions=(8,),
            attention="full",
            spectral_normalization=False,
            spectral_norm_epsilon=1e-8,
            reflection_padding=True,
            slope=0.2,
            initializer="normal",
            **k,
        ),
        (images(64, 1), LABELS),
        trainable=discriminator_block(1, 2)
        + discriminator_block(2, 4)
        + discriminator_block(4, 8)
        + discriminator_block(8, 16)
        + discriminator_block(16, 32, shortcut=True)
        + pooled(8)
        + 32
        + 1
        + 3 * 32,
        attention={"attention_8x8": (64, 64)},
        tolerance=2.0,
    ),
    "infogan_generator": Case(
        lambda **k: InfoGANGenerator(width=4, **k),
        (latents(62),),
        trainable=(62 * 64 + 64 + 2 * 64)
        + (64 * 49 * 8 + 49 * 8 + 2 * 49 * 8)
        + infogan_attention(8)
        + (conv(8, 4, 4) + 2 * 4)
        + conv(4, 1, 4),
        state=2 * (64 + 49 * 8 + 1 + 1 + 8 + 4),
        attention={"attention_7x7": (49, 49)},
        tolerance=0.1,
    ),
    "infogan_generator_plain": Case(
        lambda **k: InfoGANGenerator(
            image_size=8,
            channels=3,
            width=5,
            latent_dim=6,
            attention_resolutions=(),
            synchronized_batch_norm=SYNCHRONIZED,
            **k,
        ),
        (latents(6),),
        trainable=(6 * 80 + 80 + 2 * 80)
        + (80 * 40 + 40 + 2 * 40)
        + (conv(10, 5, 4) + 2 * 5)
        + conv(5, 3, 4),
        state=2 * (80 + 40 + 5),
        tolerance=0.1,
    ),
    "infogan_discriminator": Case(
        lambda **k: InfoGANDiscriminator(width=8, **k),
        (images(28, 1),),
        trainable=conv(1, 8, 4)
        + (conv(8, 16, 4) + 2 * 16)
        + infogan_attention(16)
        + (784 * 128 + 128 + 2 * 128)
        + 129,
        state=2 * (16 + 2 + 2 + 16 + 128),
        attention={"attention_7x7": (49, 49)},
        tolerance=0.3,
    ),
    "infogan_discriminator_plain": Case(
        lambda **k: InfoGANDiscriminator(
            image_size=8,
            channels=3,
            width=5,
            attention_resolutions=(),
            synchronized_batch_norm=SYNCHRONIZED,
            **k,
        ),
        (images(8),),
        trainable=conv(3, 5, 4)
        + (conv(5, 10, 4) + 2 * 10)
        + (40 * 80 + 80 + 2 * 80)
        + 81,
        state=2 * (10 + 80),
        tolerance=0.3,
    ),
}

NETWORKS = tuple(
    dict.fromkeys(type(case.make()) for case in CASES.values())  # in their order
)

# Mistakes of all networks, and the messages that they must give.
REFUSED = [
    ({"channels": 2}, "channels=2"),
    ({"width": 0}, "width=0"),
    ({"image_size": 30}, "image_size=30"),
    ({"attention_resolutions": (5,)}, r"attention can be at .*\(5,\)"),
]
REFUSED_BY_ONE = [
    (DCGANGenerator, {"latent_dim": 0}, "latent_dim=0"),
    (DCGANGenerator, {"spectral_norm_axis": "rows"}, "spectral_norm_axis=rows"),
    (DCGANGenerator, {"attention_resolutions": (64,)}, r"at 4, 8, 16, 32\. Received"),
    (InfoGANGenerator, {"width": 2}, "width=2"),
    (InfoGANDiscriminator, {"width": 2}, "width=2"),
    (ResNetGenerator, {"num_classes": 1}, "num_classes=1"),
    (ResNetDiscriminator, {"num_classes": 1}, "num_classes=1"),
    (ResNetGenerator, {"attention": "none"}, "attention=none"),
    (ResNetDiscriminator, {"attention": "none"}, "attention=none"),
    (ResNetGenerator, {"initializer": "zeros"}, "initializer=zeros"),
    (ResNetDiscriminator, {"initializer": "zeros"}, "initializer=zeros"),
]
