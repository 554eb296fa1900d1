"""DiffAugment: the same kinds of change to real and generated images.

The discriminator sees augmented images only, and the generator's gradient goes through
the augmentation, so that neither learns to make or to look for it. It is for small data
sets, which a discriminator learns by heart.

Images are float32 `[batch, height, width, channels]` in `[-1, 1]`; `seed` is a pair of
integers, and every image has draws of its own. The ranges are the paper's.

Reference: [Zhao et al., 2020](https://arxiv.org/abs/2006.10738)
"""

import tensorflow as tf


def color(images, seed):
    """Brightness by +-0.5, saturation by 0 to 2, contrast by 0.5 to 1.5.

    An alpha channel stays as it is.
    """
    colors, alpha = images[..., :3], images[..., 3:]
    brightness, saturation, contrast = (
        _uniform(images, seed, part) for part in range(3)
    )
    colors += brightness - 0.5
    grey = tf.reduce_mean(colors, axis=-1, keepdims=True)
    colors = grey + (colors - grey) * 2.0 * saturation
    mean = tf.reduce_mean(colors, axis=[1, 2, 3], keepdims=True)
    colors = mean + (colors - mean) * (0.5 + contrast)
    return tf.concat([colors, alpha], axis=-1)


def translation(images, seed):
    """A shift by up to an eighth of the size in both directions, zeros beyond.

    In `[-1, 1]` zero is mid-grey, as in the original.
    """
    for axis in (1, 2):
        size = images.shape[axis]
        farthest = int(size / 8 + 0.5)
        shift = _integers(images, seed, axis, -farthest, farthest + 1)
        source = tf.range(size)[None, :] + shift[:, None]
        inside = (source >= 0) & (source < size)
        moved = tf.gather(
            images, tf.clip_by_value(source, 0, size - 1), axis=axis, batch_dims=1
        )
        mask = tf.cast(inside, images.dtype)
        mask = mask[:, :, None, None] if axis == 1 else mask[:, None, :, None]
        images = moved * mask
    return images


def cutout(images, seed):
    """A square of half the size, anywhere, partly outside too, becomes zeros."""
    keep = 1.0
    for axis in (1, 2):
        size = images.shape[axis]
        side = int(size / 2 + 0.5)
        first = _integers(images, seed, axis, 0, size + 1 - side % 2) - side // 2
        places = tf.range(size)[None, :] - first[:, None]
        inside = tf.cast((places >= 0) & (places < side), images.dtype)
        keep *= inside[:, :, None, None] if axis == 1 else inside[:, None, :, None]
    return images * (1.0 - keep)


AUGMENTATIONS = {"color": color, "translation": translation, "cutout": cutout}


def augment(images, names, seed):
    """Applies the augmentations of these names, one after the other."""
    for name in names:
        part = list(AUGMENTATIONS).index(name)
        own_seed = tf.random.experimental.stateless_fold_in(seed, part)
        images = AUGMENTATIONS[name](images, own_seed)
    return images


def _uniform(images, seed, part):
    seed = tf.random.experimental.stateless_fold_in(seed, part)
    return tf.random.stateless_uniform(
        [tf.shape(images)[0], 1, 1, 1], seed, alg="philox"
    )


def _integers(images, seed, part, low, high):
    seed = tf.random.experimental.stateless_fold_in(seed, part)
    return tf.random.stateless_uniform(
        [tf.shape(images)[0]], seed, low, high, tf.int32, alg="philox"
    )
