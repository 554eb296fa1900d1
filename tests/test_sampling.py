import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import DCGANGenerator, ResNetGenerator, Sampler
from sagan_tf.sampling import to_uint8
from tests.contract import randomize

SMALL = {"image_size": 32, "channels": 1, "width": 8, "attention_resolutions": (8,)}


@pytest.fixture(scope="module")
def generator():
    generator = DCGANGenerator(**SMALL)
    generator.build((None, 128))
    return randomize(generator)


@pytest.fixture(scope="module")
def conditional():
    generator = ResNetGenerator(**SMALL, num_classes=3)
    generator.build((None, 128))
    return randomize(generator)


def test_the_ith_latent_is_a_function_of_seed_and_index(generator):
    sampler = Sampler(generator)
    latents = sampler.latents(11, seed=5)
    for i, latent in enumerate(latents):
        folded = tf.random.experimental.stateless_fold_in([5, 0x5A6A], i)
        expected = tf.random.stateless_normal([128], folded, alg="philox")
        np.testing.assert_array_equal(latent, expected)
    np.testing.assert_array_equal(sampler.latents(3, seed=5), latents[:3])
    assert (sampler.latents(11, seed=6).numpy() != latents.numpy()).mean() > 0.99


def test_the_ith_label_is_a_function_of_seed_and_index(conditional):
    labels = Sampler(conditional).labels(11, seed=5)
    for i, label in enumerate(labels):
        folded = tf.random.experimental.stateless_fold_in([5, 0x5A6A], i)
        folded = tf.random.experimental.stateless_fold_in(folded, 1)
        expected = tf.random.stateless_uniform([], folded, 0, 3, tf.int32, alg="philox")
        assert int(label) == int(expected)


def test_an_image_is_a_function_of_seed_and_index(generator):
    sampler = Sampler(generator)
    images = sampler.generate(7, seed=5, batch_size=3)
    assert images.shape == (7, 32, 32, 1) and images.dtype == np.uint8
    np.testing.assert_array_equal(sampler.generate(2, seed=5, batch_size=3), images[:2])
    assert (sampler.generate(2, seed=6) != images[:2]).mean() > 0.1
    # In evaluation mode.
    expected = to_uint8(generator(sampler.latents(7, seed=5), training=False)).numpy()
    assert np.abs(expected.astype(int) - images).max() <= 1


def test_truncation_makes_images_alike(generator):
    sampler = Sampler(generator)
    spread = [
        sampler.generate(32, truncation=t).std(axis=0).mean() for t in (1.0, 0.5, 0.0)
    ]
    assert spread[0] > spread[1] > spread[2] == 0
    np.testing.assert_array_equal(
        sampler.latents(3, 1, 0.5), 0.5 * sampler.latents(3, 1)
    )


def test_uint8_is_rounded_and_clipped():
    values = tf.constant([-2.0, -1.0, -0.999, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 128, 255, 255])
    every = np.arange(256)
    np.testing.assert_array_equal(to_uint8(every / 127.5 - 1.0), every)


def test_truncated_latents_stay_within_two(generator):
    latents = Sampler(generator, "truncated").latents(64)
    assert 1.9 < np.abs(latents).max() <= 2
    assert np.std(latents) == pytest.approx(0.88, abs=0.02)
    with pytest.raises(ValueError, match="latent_distribution=cauchy"):
        Sampler(generator, "cauchy")


def test_images_have_the_requested_classes(conditional):
    sampler = Sampler(conditional)
    latents = sampler.latents(3, seed=5)
    labels = np.array([2, 0, 1], np.int32)
    expected = to_uint8(conditional(latents, labels)).numpy().astype(int)
    actual = sampler.generate(3, seed=5, labels=labels)
    assert np.abs(expected - actual).max() <= 1
    np.testing.assert_array_equal(
        sampler.generate(3, seed=5),
        sampler.generate(3, 5, labels=sampler.labels(3, 5)),
    )
    np.testing.assert_array_equal(
        sampler.generate(2, labels=1), sampler.generate(2, labels=[1, 1])
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], "from 0 to 2. Received: 3"),
        ([-1, 0], "-1"),
        ([0, 1, 1], "3 labels"),
        ([0.0, 1.7], "must be integers. Received: float64"),
    ],
)
def test_wrong_labels_are_refused(conditional, labels, message):
    with pytest.raises(ValueError, match=message):
        Sampler(conditional).generate(2, labels=labels)


def test_labels_without_classes_are_refused(generator):
    with pytest.raises(ValueError, match="no classes"):
        Sampler(generator).generate(2, labels=[0, 1])


def test_interpolation_ends_at_the_latents(generator):
    sampler = Sampler(generator)
    paths = sampler.interpolate(2, steps=3, num_latents=3, seed=4)
    assert paths.shape == (5, 2, 32, 32, 1)
    ends = sampler.generate(6, seed=4).reshape(2, 3, 32, 32, 1)
    for path in range(2):
        difference = paths[::2, path].astype(int) - ends[path]
        assert np.abs(difference).max() <= 1
    closed = sampler.interpolate(2, steps=3, num_latents=3, closed=True, seed=4)
    assert closed.shape == (6, 2, 32, 32, 1)
    np.testing.assert_array_equal(closed[:5], paths)


def test_interpolation_between_classes_keeps_the_latent(conditional):
    sampler = Sampler(conditional)
    paths = sampler.interpolate(2, steps=3, labels=[2, 0], seed=4)
    for index, label in ((0, 2), (2, 0)):
        expected = sampler.generate(2, seed=4, labels=label)
        assert np.abs(paths[index].astype(int) - expected).max() <= 1
    # Without labels, path i keeps class i.
    paths = sampler.interpolate(2, steps=2, seed=4)
    expected = sampler.generate(4, seed=4, labels=[0, 0, 1, 1])
    assert (
        np.abs(
            paths.swapaxes(0, 1).reshape(expected.shape) - expected.astype(int)
        ).max()
        <= 1
    )


def test_standing_statistics_are_those_of_many_batches():
    generator = DCGANGenerator(**SMALL)
    generator.build((None, 128))
    randomize(generator)
    before = {v.path: v.numpy() for v in generator.variables}
    sampler = Sampler(generator)
    layer = generator.stack[2]
    assert isinstance(layer, keras.layers.BatchNormalization)
    sampler.take_standing_statistics(4, batch_size=8)
    maps = [
        generator.stack[1](generator.stack[0](latents)).numpy()
        for latents in tf.split(sampler.latents(32), 4)
    ]
    mean = np.mean([m.mean(axis=(0, 1, 2)) for m in maps], axis=0)
    variance = np.mean([m.var(axis=(0, 1, 2)) for m in maps], axis=0)
    np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5, atol=1e-5)
    assert layer.momentum == 0.9
    for variable in generator.variables:
        same = (variable.numpy() == before[variable.path]).all()
        assert same == ("moving" not in variable.path), variable.path
