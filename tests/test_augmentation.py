import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.augmentation import AUGMENTATIONS, augment, color, cutout, translation

SEED = tf.constant([1, 2])


def images(count=6, size=16, channels=3):
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (count, size, size, channels)).astype("float32")


def test_color_is_brightness_saturation_and_contrast():
    x = images(200)
    y = color(x, SEED).numpy()
    # For any three draws the result is affine in the image and its gray version:
    # y = contrast * (gray + s * (x - gray)) + constant.
    gray = x.mean(axis=-1, keepdims=True)
    brightness, saturation, contrast = [], [], []
    for i in range(len(x)):
        basis = np.stack(
            [(x[i] - gray[i]).ravel(), np.broadcast_to(gray[i], x[i].shape).ravel()]
            + [np.ones(x[i].size)],
            axis=1,
        )
        solution, residual, *_ = np.linalg.lstsq(basis, y[i].ravel(), rcond=None)
        assert residual < 1e-6
        contrast.append(solution[1])
        saturation.append(solution[0] / solution[1])
        # mean(y) = mean(x) + brightness: saturation and contrast keep the mean.
        brightness.append(y[i].mean() - x[i].mean())
    for values, low, high in (
        (brightness, -0.5, 0.5),
        (saturation, 0, 2),
        (contrast, 0.5, 1.5),
    ):
        assert low <= min(values) and max(values) <= high
        quartiles = np.quantile(values, [0.1, 0.5, 0.9])
        expected = low + (high - low) * np.array([0.1, 0.5, 0.9])
        np.testing.assert_allclose(quartiles, expected, atol=0.12 * (high - low))
    draws = np.corrcoef([brightness, saturation, contrast])
    np.testing.assert_allclose(draws, np.eye(3), atol=0.25)


def test_color_does_not_change_alpha():
    x = images(channels=4)
    np.testing.assert_array_equal(color(x, SEED)[..., 3], x[..., 3])
    assert color(images(channels=1), SEED).shape == (6, 16, 16, 1)


def test_translation_moves_by_up_to_an_eighth_and_fills_with_zeros():
    x = images(300)
    shifts = set()
    for before, after in zip(x, translation(x, SEED).numpy(), strict=True):
        padded = np.pad(before, ((2, 2), (2, 2), (0, 0)))
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(padded[i : i + 16, j : j + 16], after)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) == 25


def test_cutout_sets_a_square_of_half_the_size_to_zero():
    x = images(500)
    heights, first_rows = set(), set()
    for before, after in zip(x, cutout(x, SEED).numpy(), strict=True):
        mask = np.any(before != after, axis=-1)
        rows, columns = (np.where(mask.any(axis=axis))[0] for axis in (1, 0))
        # One rectangle, all of it zero.
        assert mask.sum() == len(rows) * len(columns)
        assert rows[-1] - rows[0] + 1 == len(rows)
        assert np.all(after[mask] == 0)
        heights.add(len(rows))
        first_rows.add(rows[0])
    # Half the size, and down to a quarter if half of the square is outside.
    assert heights == {4, 5, 6, 7, 8}
    assert first_rows == set(range(13))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_is_differentiable_and_a_function_of_its_seed(name):
    function = AUGMENTATIONS[name]
    x = tf.constant(images())
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(function(x, SEED) * images()[::-1])
    gradient = tape.gradient(value, x).numpy()
    direction = np.random.default_rng(3).normal(size=x.shape).astype("float32")
    # All three are affine in the image, so this is exact.
    moved = tf.reduce_sum(function(x + direction, SEED) * images()[::-1])
    np.testing.assert_allclose(
        moved - value, np.sum(gradient * direction), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_array_equal(function(x, SEED), function(x, SEED))
    assert np.any(function(x, SEED) != function(x, SEED + 1))


def test_names_are_applied_in_their_order():
    x = images()
    np.testing.assert_array_equal(augment(x, (), SEED), x)
    twice = augment(x, ("color", "translation"), SEED)
    again = augment(augment(x, ("color",), SEED), ("translation",), SEED)
    np.testing.assert_array_equal(twice, again)
