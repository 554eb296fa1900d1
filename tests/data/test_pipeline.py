import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import load_images, make_dataset
from sagan_tf.data.pipeline import shuffled_indices
from sagan_tf.errors import UserError

CONFIG = Config(image_size=32, channels=1, batch_size=100, discriminator_steps=2)


def take(dataset, count):
    return np.stack(list(itertools.islice(dataset.as_numpy_iterator(), count)))


def test_a_batch_is_scaled_float32_of_one_step():
    batch = take(make_dataset(CONFIG), 1)[0]
    assert batch.shape == (200, 32, 32, 1) and batch.dtype == np.float32
    assert (batch.min(), batch.max()) == (-1.0, 1.0)


def test_the_stream_can_start_at_any_step():
    # 1,797 digits, 200 a step: these steps are in the first three epochs.
    stream = take(make_dataset(CONFIG), 25)
    for start in (1, 8, 9, 20):
        later = take(make_dataset(CONFIG, start_step=start), 4)
        np.testing.assert_array_equal(later, stream[start : start + 4])


def test_every_epoch_is_another_permutation():
    epochs = take(shuffled_indices(50, seed=3), 150).reshape(3, 50)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
    assert not (epochs[0] == epochs[1]).all() and not (epochs[1] == epochs[2]).all()
    other = take(shuffled_indices(50, seed=4), 50)
    assert not (other == epochs[0]).all()
    again = take(shuffled_indices(50, seed=3), 150).reshape(3, 50)
    np.testing.assert_array_equal(again, epochs)


def test_a_set_smaller_than_a_batch_is_refused():
    with pytest.raises(UserError, match="1797 images, fewer than --batch_size=2000"):
        make_dataset(Config(image_size=32, channels=1, batch_size=2000))


CONDITIONAL = Config(
    image_size=32,
    channels=1,
    batch_size=100,
    architecture="resnet",
    conditional=True,
    classes=tuple("0123456789"),
)


def test_images_come_with_their_own_labels():
    images, labels = load_images(CONFIG)
    by_pixels = {
        image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }
    batch, classes = next(make_dataset(CONDITIONAL).as_numpy_iterator())
    assert classes.shape == (100,) and classes.dtype == np.int32
    pixels = np.uint8(np.round((batch + 1) * 127.5))
    assert [by_pixels[image.tobytes()] for image in pixels] == classes.tolist()
    assert len(set(classes)) == 10


def test_labels_beyond_the_classes_are_refused():
    config = dataclasses.replace(CONDITIONAL, classes=tuple("01234567"))
    with pytest.raises(UserError, match="labels up to 9, .* only 8 classes"):
        make_dataset(config)


def test_images_without_a_class_are_refused(tmp_path):
    for name in ("a/1.png", "b/2.png", "3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (40, 40)).save(tmp_path / name)
    config = dataclasses.replace(
        CONDITIONAL,
        dataset="folder",
        data_dir=str(tmp_path),
        batch_size=2,
        classes=("a", "b"),
    )
    with pytest.raises(UserError, match="1 of the 3 images .* no class"):
        make_dataset(config)


def test_images_are_flipped_randomly():
    config = dataclasses.replace(CONFIG, horizontal_flip=True)
    plain, flipped = take(make_dataset(CONFIG), 4), take(make_dataset(config), 4)
    is_flipped = np.array(
        [
            np.array_equal(image, other[:, ::-1]) and not np.array_equal(image, other)
            for image, other in zip(
                flipped.reshape(-1, 32, 32, 1),
                plain.reshape(-1, 32, 32, 1),
                strict=True,
            )
        ]
    ).reshape(4, 200)
    assert 0.4 < is_flipped.mean() < 0.6
    assert (is_flipped[0] != is_flipped[1]).any()
    # A function of (seed, step), so that a resumed run sees the same.
    later = take(make_dataset(config, start_step=2), 2)
    np.testing.assert_array_equal(later, flipped[2:])
