"""Sampling: latents, labels and images of any generator."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.interpolation import interpolate
from sagan_tf.types import Tensor

# The i-th latent of a seed is drawn from (seed, _SAMPLING, i); its label from
# (seed, _SAMPLING, i, LABELS).
_SAMPLING = 0x5A6A
LABELS = 1
# Draws per iteration of the loop in the graph: fewer iterations, a larger graph.
_CHUNK = 8

LATENT_DISTRIBUTIONS = ("normal", "uniform", "truncated")


class Sampler:
    """Draws latents and labels, and renders images in evaluation mode.

    The i-th image of a seed is the same whatever the number of images and the batch
    size.

    Args:
        generator: Model from latents `[batch, latent_dim]` to images in `[-1, 1]`, with
            the attribute `latent_dim`; if its attribute `num_classes` is positive, from
            latents and labels `[batch]`.
        latent_distribution: `"normal"`, standard normal; `"uniform"`, in `[-1, 1)`; or
            `"truncated"`, normal, redrawn beyond 2.

    Raises:
        ValueError: if there is no such distribution.

    Example:

    ```python
    sampler = Sampler(model.ema_generator)
    images = sampler.generate(16, seed=0)  # uint8 [16, 64, 64, 3]
    ```
    """

    def __init__(self, generator: Any, latent_distribution: str = "normal"):
        check_distribution(latent_distribution)
        self.generator = generator
        self.latent_distribution = latent_distribution
        self.num_classes: int = getattr(generator, "num_classes", 0)

    def latents(
        self, num_images: Tensor, seed: Tensor = 0, truncation: Tensor = 1.0
    ) -> Tensor:
        """Draws latents, each a function of the seed and its own index.

        Args:
            num_images: Integer, or int32 scalar tensor.
            seed: Integer, or int32 scalar tensor.
            truncation: Float, the factor that latents are scaled by. 1 keeps the
                distribution of training; smaller values give safer images that differ
                less.

        Returns:
            float32 tensor `[num_images, latent_dim]`.
        """
        return truncation * self._draw_latents(*_scalars(num_images, seed))

    def labels(self, num_images: Tensor, seed: Tensor = 0) -> Tensor:
        """Draws uniform labels, each a function of the seed and its own index.

        Args:
            num_images: Integer, or int32 scalar tensor.
            seed: Integer, or int32 scalar tensor.

        Returns:
            int32 tensor `[num_images]`.
        """
        return self._draw_labels(*_scalars(num_images, seed))

    def generate(
        self,
        num_images: int,
        seed: int = 0,
        truncation: float = 1.0,
        labels: Any = None,
        batch_size: int = 64,
    ) -> np.ndarray:
        """Generates images.

        Args:
            num_images: Positive integer.
            seed: Integer.
            truncation: Float; see `latents`.
            labels: Only with classes: integers, one per image or one for all. The
                default is `labels(num_images, seed)`.
            batch_size: Positive integer, images per batch.

        Returns:
            uint8 array `[num_images, image_size, image_size, channels]`.

        Raises:
            ValueError: if there are not as many labels as images, if a label is not a
                class, or if there are no classes.
        """
        if labels is not None:
            labels = self._check_labels(labels, num_images)
        elif self.num_classes:
            labels = self.labels(num_images, seed)
        latents = self.latents(num_images, seed, truncation)
        return self.render(latents, labels, batch_size)

    def render(
        self, latents: Tensor, labels: Tensor | None = None, batch_size: int = 64
    ) -> np.ndarray:
        """Renders given latents in evaluation mode.

        Args:
            latents: Float `[N, latent_dim]`.
            labels: Only with classes: integers `[N]`, or class weights, float
                `[N, num_classes]`.
            batch_size: Positive integer, images per batch.

        Returns:
            uint8 array `[N, image_size, image_size, channels]`.
        """
        inputs = [tf.convert_to_tensor(latents, tf.float32)]
        if labels is not None:
            inputs.append(tf.convert_to_tensor(labels))
        # All batches are full: one shape means one trace, and an image is computed the
        # same way whatever its batch.
        count = len(latents)
        batches = -(-count // batch_size)
        inputs = [_pad(x, batches * batch_size) for x in inputs]
        images = [
            self._render_batch(*batch)
            for batch in zip(*(tf.split(x, batches) for x in inputs), strict=True)
        ]
        return np.concatenate(images)[:count]

    def interpolate(
        self,
        num_paths: int,
        steps: int = 9,
        num_latents: int = 2,
        labels: Any = None,
        method: str = "spherical",
        closed: bool = False,
        seed: int = 0,
        truncation: float = 1.0,
    ) -> np.ndarray:
        """Renders paths between random latents, or between classes.

        Args:
            num_paths: Positive integer.
            steps: Integer, at least 2: images from one latent to the next, both
                included.
            num_latents: Integer, at least 2: latents per path.
            labels: Only with classes: two or more integers. Each path keeps one latent
                and goes from class to class, linearly. By default path i keeps class i.
            method: `"spherical"` or `"linear"`; see `interpolate`.
            closed: Boolean, whether paths return to their beginning.
            seed: Integer.
            truncation: Float; see `latents`.

        Returns:
            uint8 array `[length, num_paths, image_size, image_size, channels]`.
        """
        weights: np.ndarray | None = None
        if labels is not None:
            corners = np.eye(self.num_classes)[np.asarray(labels)]
            classes = interpolate(corners, steps, "linear", closed)
            weights = np.repeat(classes[:, None], num_paths, axis=1)
            latents = np.asarray(self.latents(num_paths, seed, truncation))
            latents = np.broadcast_to(latents, (len(weights), *latents.shape))
        else:
            latents = np.asarray(
                self.latents(num_paths * num_latents, seed, truncation)
            )
            corners = latents.reshape(num_paths, num_latents, -1).swapaxes(0, 1)
            latents = interpolate(corners, steps, method, closed)
            if self.num_classes:
                own = np.arange(num_paths) % self.num_classes
                rows = np.eye(self.num_classes, dtype=np.float32)[own]
                weights = np.broadcast_to(rows, (len(latents), *rows.shape))
        length = len(latents)
        if weights is not None:
            weights = weights.reshape(length * num_paths, -1)
        images = self.render(latents.reshape(length * num_paths, -1), weights)
        return images.reshape(length, num_paths, *images.shape[1:])

    def take_standing_statistics(
        self, num_batches: int, batch_size: int = 64, seed: int = 0
    ) -> None:
        """Recomputes the generator's batch statistics: BigGAN's standing statistics.

        The moving averages become the means over `num_batches` batches of latents, and
        labels, drawn as in training.

        Args:
            num_batches: Positive integer.
            batch_size: Positive integer.
            seed: Integer.
        """
        normalizations = [
            layer
            for layer in self.generator._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        momenta = [layer.momentum for layer in normalizations]
        # Spectral normalization would update its u; it must stay as trained.
        us = [v for v in self.generator.variables if v.name == "u"]
        trained = [u.numpy() for u in us]
        inputs = [self.latents(num_batches * batch_size, seed)]
        if self.num_classes:
            inputs.append(self.labels(num_batches * batch_size, seed))
        batches = zip(*(tf.split(x, num_batches) for x in inputs), strict=True)
        try:
            for number, batch in enumerate(batches):
                for layer in normalizations:
                    layer.momentum = number / (number + 1)  # the mean so far
                self.generator(*batch, training=True)
                for u, value in zip(us, trained, strict=True):
                    u.assign(value)
        finally:
            for layer, momentum in zip(normalizations, momenta, strict=True):
                layer.momentum = momentum

    # Without AutoGraph, which has nothing to translate here and takes half a second.

    @functools.cached_property
    def _render_batch(self) -> Callable:
        def render(*inputs: Tensor) -> Tensor:
            return to_uint8(self.generator(*inputs, training=False))

        return tf.function(render, autograph=False)

    @functools.cached_property
    def _draw_latents(self) -> Callable:
        size = self.generator.latent_dim

        def draw(seed: Tensor) -> Tensor:
            return draw_latents(self.latent_distribution, [size], seed)

        return tf.function(functools.partial(_draw_each, draw), autograph=False)

    @functools.cached_property
    def _draw_labels(self) -> Callable:
        def draw(seed: Tensor) -> Tensor:
            seed = tf.random.experimental.stateless_fold_in(seed, LABELS)
            return draw_labels(self.num_classes, [], seed)

        return tf.function(functools.partial(_draw_each, draw), autograph=False)

    def _check_labels(self, labels: Any, num_images: int) -> np.ndarray:
        if not self.num_classes:
            raise ValueError("This generator has no classes and takes no labels")
        labels = np.atleast_1d(np.asarray(labels))
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"Labels must be integers. Received: {labels.dtype}")
        if len(labels) not in (1, num_images):
            raise ValueError(
                "There must be one label, or one per image. "
                f"Received: {len(labels)} labels for {num_images} images"
            )
        wrong = sorted({int(x) for x in labels if not 0 <= x < self.num_classes})
        if wrong:
            raise ValueError(
                f"Labels must be from 0 to {self.num_classes - 1}. "
                f"Received: {', '.join(map(str, wrong))}"
            )
        return np.broadcast_to(labels, num_images).astype(np.int32)


# Philox gives the same numbers on every device, with and without XLA.


def draw_latents(distribution: str, shape: Any, seed: Tensor) -> Tensor:
    """Draws float32 latents.

    Args:
        distribution: One of `LATENT_DISTRIBUTIONS`.
        shape: List of integers or scalar tensors.
        seed: Pair of integers; equal seeds give equal latents.
    """
    if distribution == "uniform":
        return tf.random.stateless_uniform(shape, seed, -1.0, 1.0, alg="philox")
    if distribution == "truncated":
        return tf.random.stateless_truncated_normal(shape, seed, alg="philox")
    return tf.random.stateless_normal(shape, seed, alg="philox")


def draw_labels(num_classes: int, shape: Any, seed: Tensor) -> Tensor:
    """Draws int32 labels, uniform in `[0, num_classes)`; see `draw_latents`."""
    return tf.random.stateless_uniform(
        shape, seed, 0, num_classes, tf.int32, alg="philox"
    )


def check_distribution(name: str) -> None:
    """Raises a `ValueError` if there is no such distribution of latents."""
    if name not in LATENT_DISTRIBUTIONS:
        raise ValueError(
            "`latent_distribution` must be one of "
            f"{', '.join(LATENT_DISTRIBUTIONS)}. Received: latent_distribution={name}"
        )


def check_labels(labels: Tensor, num_classes: int, lowest: int = 0) -> Tensor:
    """Checks in eager mode and in graphs that labels are classes.

    Without the check, -1 would select the last row of a table.

    Args:
        labels: Integer tensor.
        num_classes: Positive integer.
        lowest: Integer, the lowest valid label.

    Returns:
        `labels`.

    Raises:
        tf.errors.InvalidArgumentError: if a label is out of range.
    """
    message = f"Labels must be from {lowest} to {num_classes - 1}"
    valid = tf.reduce_all((labels >= lowest) & (labels < num_classes))
    # The readers of the labels wait for the check: their own error could come first.
    with tf.control_dependencies([tf.Assert(valid, [message, labels])]):
        return tf.identity(labels)


def to_uint8(images: Tensor) -> Tensor:
    """Converts float images in `[-1, 1]` to rounded uint8 tensors in `[0, 255]`."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0, 255), tf.uint8)


def _scalars(*values: Tensor) -> list[Tensor]:
    # Python numbers would trace a new graph for each value.
    return [tf.cast(value, tf.int32) for value in values]


def _draw_each(draw: Callable, num_images: Tensor, seed: Tensor) -> Tensor:
    """Calls `draw` with one seed per image; returns its values `[num_images, ...]`."""
    # stateless_fold_in(seed, i) is the pair (a function of seed alone, i). Computing
    # that function once makes sampling twice as fast as folding in every index.
    folded = tf.random.experimental.stateless_fold_in([seed, _SAMPLING], 0)[0]

    def draw_chunk(start: Tensor) -> Tensor:
        return tf.stack([draw(tf.stack([folded, start + i])) for i in range(_CHUNK)])

    starts = tf.range(0, num_images, _CHUNK)
    signature = tf.type_spec_from_value(draw(tf.stack([folded, 0])))
    values = tf.map_fn(
        draw_chunk,
        starts,
        fn_output_signature=tf.TensorSpec([_CHUNK, *signature.shape], signature.dtype),
    )
    return tf.reshape(values, [-1, *signature.shape])[:num_images]


def _pad(x: Tensor, length: int) -> Tensor:
    """Pads with zeros at the end of the first axis."""
    return tf.pad(x, [[0, length - len(x)]] + [[0, 0]] * (len(x.shape) - 1))
