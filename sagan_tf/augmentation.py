"""DiffAugment: differentiable augmentation of real and generated images.

The discriminator sees augmented images only, and the generator's gradient flows through
the augmentation, so that generated images stay free of it. It is for small data sets,
which a discriminator would memorize.

Images are float32 `[batch, height, width, channels]` in `[-1, 1]`. `seed` is a pair of
integers; each image has its own random draws. The ranges are those of the reference.
On several replicas an image gets the draws of its index in the global batch.

Reference: [Zhao et al., 2020](https://arxiv.org/abs/2006.10738)
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from sagan_tf import replicas
from sagan_tf.types import Tensor


def color(images: Tensor, seed: Sequence) -> Tensor:
    """Shifts brightness by +-0.5, scales saturation by 0 to 2, contrast by 0.5 to 1.5.

    An alpha channel does not change.
    """
    colors, alpha = images[..., :3], images[..., 3:]
    brightness, saturation, contrast = (
        _uniform(images, seed, index) for index in range(3)
    )
    colors += brightness - 0.5
    gray = tf.reduce_mean(colors, axis=-1, keepdims=True)
    colors = gray + (colors - gray) * 2.0 * saturation
    mean = tf.reduce_mean(colors, axis=[1, 2, 3], keepdims=True)
    colors = mean + (colors - mean) * (0.5 + contrast)
    return tf.concat([colors, alpha], axis=-1)


def translation(images: Tensor, seed: Sequence) -> Tensor:
    """Shifts by up to an eighth of the size along both axes and pads with zeros.

    In `[-1, 1]` zero is mid-gray, as in the original.
    """
    for axis in (1, 2):
        size = images.shape[axis]
        largest = int(size / 8 + 0.5)
        shift = _integers(images, seed, axis, -largest, largest + 1)
        source = tf.range(size)[None, :] + shift[:, None]
        inside = (source >= 0) & (source < size)
        moved = tf.gather(
            images, tf.clip_by_value(source, 0, size - 1), axis=axis, batch_dims=1
        )
        mask = tf.cast(inside, images.dtype)
        mask = mask[:, :, None, None] if axis == 1 else mask[:, None, :, None]
        images = moved * mask
    return images


def cutout(images: Tensor, seed: Sequence) -> Tensor:
    """Sets a square of half the size to zero. It may be partly outside the image."""
    keep = 1.0
    for axis in (1, 2):
        size = images.shape[axis]
        side = int(size / 2 + 0.5)
        first = _integers(images, seed, axis, 0, size + 1 - side % 2) - side // 2
        offsets = tf.range(size)[None, :] - first[:, None]
        inside = tf.cast((offsets >= 0) & (offsets < side), images.dtype)
        keep *= inside[:, :, None, None] if axis == 1 else inside[:, None, :, None]
    return images * (1.0 - keep)


AUGMENTATIONS: dict[str, Callable] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


def augment(images: Tensor, names: Sequence[str], seed: Sequence) -> Tensor:
    """Applies augmentations one after the other.

    Args:
        images: Float `[batch, height, width, channels]`.
        names: Names out of `AUGMENTATIONS`.
        seed: Pair of integers.
    """
    for name in names:
        index = list(AUGMENTATIONS).index(name)
        own_seed = tf.random.experimental.stateless_fold_in(seed, index)
        images = AUGMENTATIONS[name](images, own_seed)
    return images


def _uniform(images: Tensor, seed: Sequence, index: int) -> Tensor:
    seed = tf.random.experimental.stateless_fold_in(seed, index)

    def draw(size: Tensor) -> Tensor:
        return tf.random.stateless_uniform([size, 1, 1, 1], seed, alg="philox")

    return replicas.draw(draw, tf.shape(images)[0])


def _integers(
    images: Tensor, seed: Sequence, index: int, low: int, high: int
) -> Tensor:
    seed = tf.random.experimental.stateless_fold_in(seed, index)

    def draw(size: Tensor) -> Tensor:
        return tf.random.stateless_uniform(
            [size], seed, low, high, tf.int32, alg="philox"
        )

    return replicas.draw(draw, tf.shape(images)[0])
