import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf.layers import ConditionalBatchNormalization
from tests.backends import array, gradients

SHAPE = (6, 3, 5, 4)
LABELS = np.array([0, 2, 1, 1, 0, 2], np.int32)


def make(num_classes=3, **kwargs):
    layer = ConditionalBatchNormalization(num_classes, **kwargs)
    layer.build(SHAPE)
    return layer


def maps(seed=0):
    return np.random.default_rng(seed).normal(2, 3, SHAPE).astype("float32")


def test_a_new_layer_is_plain_batch_normalization():
    layer = make(momentum=0.8, epsilon=1e-3)
    plain = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-3)
    for seed in range(3):
        x = maps(seed)
        np.testing.assert_allclose(
            array(layer(x, LABELS, training=True)),
            array(plain(x, training=True)),
            atol=1e-6,
        )
    np.testing.assert_allclose(array(layer(x, LABELS)), array(plain(x)), atol=1e-6)


def test_each_class_reads_its_own_row():
    layer = make()
    random = np.random.default_rng(1)
    gain, shift = random.normal(size=(2, 3, 4))
    layer.gain.embeddings.assign(gain)
    layer.shift.embeddings.assign(shift)
    x = maps()
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    for training in (True, False):
        # The moving statistics are those of the one batch seen so far.
        if not training:
            mean, variance = 0.1 * mean, 0.9 + 0.1 * variance
        normalized = (x - mean) / np.sqrt(variance + 1e-5)
        expected = [
            gain[c] * n + shift[c] for c, n in zip(LABELS, normalized, strict=True)
        ]
        actual = layer(x, LABELS, training=training)
        np.testing.assert_allclose(array(actual), expected, atol=1e-4)


@pytest.mark.parametrize("spectral_normalization", [False, True])
def test_weights_mix_the_rows_of_classes(spectral_normalization):
    layer = make(spectral_normalization=spectral_normalization)
    if not spectral_normalization:
        gain, shift = np.random.default_rng(1).normal(size=(2, 3, 4))
        layer.gain.embeddings.assign(gain)
        layer.shift.embeddings.assign(shift)
    x = maps()
    of_class = [array(layer(x, np.full(6, label, np.int32))) for label in range(3)]
    weights = np.random.default_rng(2).dirichlet(np.ones(3), 6).astype("float32")
    expected = sum(
        weights[:, label, None, None, None] * of_class[label] for label in range(3)
    )
    np.testing.assert_allclose(array(layer(x, weights)), expected, atol=1e-4)
    # One-hot weights are labels.
    one_hot = np.eye(3, dtype="float32")[LABELS]
    np.testing.assert_allclose(
        array(layer(x, one_hot)), array(layer(x, LABELS)), atol=1e-5
    )


def test_gradients_go_to_the_rows_that_were_read():
    layer = make()
    labels = np.full(6, 1, np.int32)
    for gradient in gradients(
        lambda: ops.sum(layer(maps(), labels, training=True) ** 2),
        layer.trainable_variables,
    ):
        assert gradient[1].any() and not gradient[[0, 2]].any()


def test_tables_can_be_spectrally_normalized():
    layer = make(spectral_normalization=True)
    random = np.random.default_rng(0)
    gain, shift = random.normal(size=(2, 3, 4))
    layer.gain.layer.embeddings.assign(gain)
    layer.shift.layer.embeddings.assign(shift)
    for _ in range(200):
        layer(maps(), LABELS, training=True)
    x = maps()
    normalized = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    gain, shift = (
        (table / np.linalg.svd(table)[1][0])[LABELS][:, None, None]
        for table in (gain, shift)
    )
    outputs = layer(x, LABELS, training=True)
    expected = (1 + gain) * normalized + shift
    np.testing.assert_allclose(array(outputs), expected, atol=1e-3)


def test_replicas_can_share_their_statistics(two_devices):
    import tensorflow as tf

    with two_devices.scope():
        layer = make(synchronized=True)
    x = maps()

    def normalize():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = tf.reshape(x, (2, 3, *SHAPE[1:]))[replica]
        return layer(part, tf.constant(LABELS[:3]), training=True)

    parts = two_devices.run(tf.function(normalize)).values
    expected = make()(x, LABELS, training=True)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
