"""Several replicas compute what one device does with the same global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import SAGAN
from sagan_tf.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from sagan_tf.replicas import take_share

BATCH = 8
SMALL = {"image_size": 32, "channels": 1, "width": 4, "attention_resolutions": (8,)}
SYNCHRONIZED = {"synchronized_batch_norm": True}
NETWORKS = {
    "dcgan": lambda: (
        DCGANGenerator(**SMALL, **SYNCHRONIZED),
        DCGANDiscriminator(**SMALL),
    ),
    "resnet": lambda: (
        ResNetGenerator(**SMALL, **SYNCHRONIZED, num_classes=3),
        ResNetDiscriminator(**SMALL, num_classes=3),
    ),
    "infogan": lambda: (
        InfoGANGenerator(32, width=4, **SYNCHRONIZED),
        InfoGANDiscriminator(32, width=4, **SYNCHRONIZED),
    ),
}


def make(networks, **arguments):
    model = SAGAN(*NETWORKS[networks](), seed=3)
    # Adam divides by the root of its second moment: at weights whose gradient is
    # nearly 0 it would make large differences of rounding errors.
    optimizers = (keras.optimizers.SGD(0.02, momentum=0.5) for _ in range(2))
    model.compile(*optimizers, **arguments)
    return model


def make_data(steps, updates, num_classes):
    random = np.random.default_rng(5)
    images = random.uniform(-1, 1, (steps, updates * BATCH, 32, 32, 1))
    labels = random.integers(0, 3, (steps, updates * BATCH)).astype("int32")
    images = images.astype("float32")
    return (images, labels) if num_classes else (images,)


def share_out(data, micro_batches):
    """Orders each step's images as two replicas read them: the one's, the other's."""
    return [
        np.stack(
            [
                np.concatenate([take_share(x, r, 2, micro_batches) for r in (0, 1)])
                for x in values
            ]
        )
        for values in data
    ]


def train(model, data):
    """Returns the logs of each step."""
    seen = []
    batches = tf.data.Dataset.from_tensor_slices(
        tuple(data) if len(data) > 1 else data[0]
    )
    model.fit(
        batches,
        steps_per_epoch=len(data[0]),
        verbose=0,
        shuffle=False,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: seen.append(dict(logs))
            )
        ],
    )
    return seen


EVERYTHING = {
    "gradient_penalty": "gp",
    "augmentation": ("color", "translation", "cutout"),
    "accumulation_steps": 2,
}
EXHAUSTIVE = pytest.mark.exhaustive
LAZY = {"gradient_penalty": "r1", "gradient_penalty_interval": 3}
CASES = [
    # Leaky ReLUs make a gradient penalty jump where a rounding error changes a sign:
    # in a third step the losses differed by 2e-4 on one of two kinds of CPU.
    ("dcgan", EVERYTHING, 2),
    pytest.param("resnet", {"discriminator_steps": 2}, 4, marks=EXHAUSTIVE),
    # Batches of 8 in its dense layers make a rounding error five times larger a step.
    ("infogan", {"loss": "non_saturating"}, 3),
    pytest.param("dcgan", LAZY, 4, marks=EXHAUSTIVE),
    pytest.param("dcgan", {"gradient_penalty": "dragan"}, 2, marks=EXHAUSTIVE),
]


@pytest.mark.parametrize("networks, arguments, steps", CASES)
def test_two_devices_compute_what_one_does(two_devices, networks, arguments, steps):
    alone = make(networks, **arguments)
    with two_devices.scope():
        model = make(networks, **arguments)
    for network in ("generator", "discriminator", "ema_generator"):
        getattr(model, network).set_weights(getattr(alone, network).get_weights())
    updates = arguments.get("discriminator_steps", 1)
    data = make_data(steps, updates, alone.num_classes)
    start = [np.array(v) for v in alone.variables]
    expected_logs = train(alone, data)
    micro_batches = updates * arguments.get("accumulation_steps", 1)
    logs = train(model, share_out(data, micro_batches))
    for expected, actual in zip(expected_logs, logs, strict=True):
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-4, atol=1e-4)
    largest = 0.0
    for before, one, several in zip(
        start, alone.variables, model.variables, strict=True
    ):
        if "metric" in one.path or "seed" in one.path:
            continue
        first, second = several.value.values
        np.testing.assert_array_equal(first, second, err_msg=one.path)
        np.testing.assert_allclose(first, one, rtol=1e-4, atol=1e-4, err_msg=one.path)
        largest = max(largest, np.abs(np.array(one) - before).max())
    assert largest > 0.01  # it has learned something


@EXHAUSTIVE
def test_two_devices_with_the_forms_of_large_networks(two_devices, monkeypatch):
    """Matrix products, attention in groups and chunks, and inputs divided by sigma."""
    layers = "sagan_tf.layers"
    monkeypatch.setattr(f"{layers}.kernel_gradient._LEAST_WEIGHTS", 0)
    monkeypatch.setattr(f"{layers}.self_attention._LARGE", 0)
    monkeypatch.setattr(f"{layers}.self_attention._LARGE_IN_HALF_PRECISION", 0)
    monkeypatch.setattr(f"{layers}.self_attention._CHUNK_IN_CACHE", 2**13)
    monkeypatch.setattr(f"{layers}.spectral_normalization._TYPICAL_BATCH", 1)
    arguments = {"gradient_penalty": "gp", "accumulation_steps": 2}
    test_two_devices_compute_what_one_does(two_devices, "dcgan", arguments, 2)


def test_a_share_is_an_equal_part_of_each_micro_batch():
    batch = tf.range(12)
    shares = [take_share(batch, r, 3, micro_batches=2).numpy() for r in range(3)]
    np.testing.assert_array_equal(shares, [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]])
