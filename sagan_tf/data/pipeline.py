import numpy as np
import tensorflow as tf

from sagan_tf.data.preprocessing import scale
from sagan_tf.data.sources import load_images
from sagan_tf.errors import UserError


def make_dataset(config, start_step=0):
    """The endless stream of real images that training reads.

    The images are decoded once and kept as uint8 at the training size. Each epoch
    goes through them in an order that is a function of (seed, epoch) alone, and one
    epoch runs into the next, so every batch is full and the stream can begin at any
    step.

    Args:
        config: `Config`.
        start_step: Integer, the number of steps already done.

    Returns:
        `tf.data.Dataset` of float32 `[discriminator_steps * batch_size, image_size,
        image_size, channels]` in `[-1, 1]`, one element a step; with
        `config.conditional` of pairs of them and labels, int32
        `[discriminator_steps * batch_size]`.

    Raises:
        UserError: if the set is not there, smaller than a batch, or, with
            `config.conditional`, an image has no label or one beyond the classes.
    """
    images, labels = load_images(config)
    per_step = config.batch_size * config.discriminator_steps
    if len(images) < config.batch_size:
        raise UserError(
            f"{config.dataset} has {len(images)} images, fewer than "
            f"--batch_size={config.batch_size}"
        )

    if config.conditional:
        _check_labels(labels, config)

    def gather(indices):
        return images[indices], labels[indices]

    def load(step, indices):
        batch, classes = tf.numpy_function(
            gather, [indices], (tf.uint8, tf.int32), stateful=False
        )
        batch = scale(tf.ensure_shape(batch, (per_step, *images.shape[1:])))
        if config.horizontal_flip:
            batch = flip_half(batch, [config.seed, step])
        if not config.conditional:
            return batch
        return batch, tf.ensure_shape(classes, (per_step,))

    indices = shuffled_indices(len(images), config.seed, start_step * per_step)
    return (
        indices.batch(per_step, drop_remainder=True)
        .enumerate(start_step)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def flip_half(images, seed):
    """Mirrors each image of a batch, left to right, with probability one half.

    Args:
        images: Float `[batch, height, width, channels]`.
        seed: Two integers; the choice is a function of them.
    """
    draws = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed)
    return tf.where(draws < 0.5, images[:, :, ::-1], images)


def shuffled_indices(count, seed, start=0):
    """An endless stream of int64 indices, each epoch a permutation of `count`.

    Args:
        count: Integer, the number of images.
        seed: Integer.
        start: Integer, how many indices of the stream to leave out.
    """
    first_epoch, offset = divmod(start, count)

    def epoch_order(epoch):
        # Philox, and not `Dataset.shuffle`, whose state could not be computed for a
        # later epoch without going through the earlier ones.
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        return generator.permutation(count)

    def epoch_indices(epoch):
        order = tf.numpy_function(epoch_order, [epoch], tf.int64, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(order, [count]))

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(epoch_indices).skip(offset)


def _check_labels(labels, config):
    unlabelled = np.count_nonzero(labels < 0)
    if unlabelled:
        raise UserError(
            f"{unlabelled} of the {len(labels)} images of {config.dataset} have no "
            "class. Put each into the folder of its class"
        )
    if labels.max() >= len(config.classes):
        raise UserError(
            f"{config.dataset} has labels up to {labels.max()}, but the run has only "
            f"{len(config.classes)} classes"
        )
