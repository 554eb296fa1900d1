import itertools

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.data import make_dataset
from sagan_tf.data.pipeline import shuffled_indices
from sagan_tf.errors import UserError

CONFIG = Config(image_size=32, channels=1, batch_size=100, discriminator_steps=2)


def take(dataset, count):
    return np.stack(list(itertools.islice(dataset.as_numpy_iterator(), count)))


def test_batches_are_scaled_float32_of_one_step():
    batch = take(make_dataset(CONFIG), 1)[0]
    assert batch.shape == (200, 32, 32, 1) and batch.dtype == np.float32
    assert (batch.min(), batch.max()) == (-1.0, 1.0)


def test_can_begin_at_any_step():
    # 1,797 digits, 200 a step: these steps are in the first three epochs.
    stream = take(make_dataset(CONFIG), 25)
    for start in (1, 8, 9, 20):
        later = take(make_dataset(CONFIG, start_step=start), 4)
        np.testing.assert_array_equal(later, stream[start : start + 4])


def test_every_epoch_is_another_order_of_all_images():
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
