"""The endless stream of real images that training reads."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf import replicas
from sagan_tf.config import Config
from sagan_tf.data.loading import load_data
from sagan_tf.data.prepared import LoadedData
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.types import Tensor


def make_dataset(
    config: Config,
    start_step: int = 0,
    data: LoadedData | None = None,
    num_replicas: int = 1,
    local_replicas: Sequence[int] = (0,),
) -> tf.data.Dataset:
    """Returns the real images of all steps from `start_step` on.

    The images are prepared data: uint8 at the training size. The order of each epoch
    is a function of (seed, epoch) alone. Epochs follow one another within a batch, so
    every batch is full and the stream can start at any step.

    Args:
        config: `Config`.
        start_step: Integer, the number of completed steps.
        data: The config's images, if they are loaded already.
        num_replicas: Integer, how many replicas share each batch.
        local_replicas: Which of them the stream is for. Only their images are read.

    Returns:
        `tf.data.Dataset` with one element per step and replica, the replicas in turn:
        float32 `[discriminator_steps * batch_size / num_replicas, image_size,
        image_size, channels]` in `[-1, 1]`; with `config.conditional` a pair of these
        and int32 labels.

    Raises:
        UserError: if the data set is missing or smaller than a batch, or, with
            `config.conditional`, an image has no label or one beyond the classes.
    """
    data = data or load_data(config)
    images, labels = data.images, data.labels
    per_step = config.batch_size * config.discriminator_steps
    if len(images) < config.batch_size:
        raise UserError(
            f"{config.dataset} has {len(images)} images, fewer than "
            f"--batch_size={config.batch_size}. Give --batch_size={len(images)} or less"
        )
    if config.conditional:
        _check_labels(labels, config)

    share_size = per_step // num_replicas

    def share(step: Tensor, indices: Tensor) -> tf.data.Dataset:
        micro_batches = config.discriminator_steps * config.accumulation_steps
        flips = draw_flips(per_step, [config.seed, step])
        shares = [
            [
                replicas.take_share(values, replica, num_replicas, micro_batches)
                for replica in local_replicas
            ]
            for values in (indices, flips)
        ]
        return tf.data.Dataset.from_tensor_slices(tuple(map(tf.stack, shares)))

    def load(indices: Tensor, flips: Tensor) -> Tensor:
        batch, classes = tf.numpy_function(
            data.take, [indices], (tf.uint8, tf.int32), stateful=False
        )
        batch = scale(tf.ensure_shape(batch, (share_size, *images.shape[1:])))
        if config.horizontal_flip:
            batch = tf.where(flips[:, None, None, None], batch[:, :, ::-1], batch)
        if not config.conditional:
            return batch
        return batch, tf.ensure_shape(classes, (share_size,))

    indices = shuffled_indices(len(images), config.seed, start_step * per_step)
    return (
        indices.batch(per_step, drop_remainder=True)
        .enumerate(start_step)
        .flat_map(share)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Raises a `UserError` of the stream again, which TensorFlow has made a text."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"UserError: (.+)", str(error))
        if found is None:
            raise
        raise UserError(found[1]) from error


def draw_flips(count: int, seed: Sequence[Tensor]) -> Tensor:
    """Draws which images are flipped, each with probability 0.5; boolean `[count]`."""
    return tf.random.stateless_uniform([count], seed) < 0.5


def shuffled_indices(count: int, seed: int, start: int = 0) -> tf.data.Dataset:
    """Returns an endless stream of int64 indices, each epoch a permutation.

    Args:
        count: Integer, the number of images.
        seed: Integer.
        start: Integer, how many indices of the stream to leave out.
    """
    first_epoch, offset = divmod(start, count)

    def epoch_order(epoch: Any) -> np.ndarray:
        # Philox instead of `Dataset.shuffle`, whose state for a later epoch could only
        # be reached through all earlier ones.
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        return generator.permutation(count)

    def epoch_indices(epoch: Tensor) -> tf.data.Dataset:
        order = tf.numpy_function(epoch_order, [epoch], tf.int64, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(order, [count]))

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(epoch_indices).skip(offset)


def _check_labels(labels: np.ndarray, config: Config) -> None:
    unlabeled = np.count_nonzero(labels < 0)
    if unlabeled:
        raise UserError(
            f"{unlabeled} of the {len(labels)} images of {config.dataset} have no "
            "class. Put each into the folder of its class"
        )
    if labels.max() >= len(config.classes):
        raise UserError(
            f"{config.dataset} has labels up to {labels.max()}, but the run has only "
            f"{len(config.classes)} classes"
        )
