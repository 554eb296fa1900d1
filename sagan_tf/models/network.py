"""What all generators and all discriminators share."""

import inspect
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from sagan_tf.layers import SelfAttention
from sagan_tf.types import Shape, Tensor

IMAGE_CHANNELS = (1, 3, 4)


class Network(keras.Model):
    """A stack of layers, some of them `SelfAttention`, and a last layer after it.

    A subclass sets `stack`, a list of layers, in its constructor, and the class
    attributes and methods below where it differs. Its constructor arguments are its
    config: each is stored in the attribute of the same name.

    Args:
        image_size: Integer out of `image_sizes`, pixels per side.
        channels: 1, 3 or 4, image channels.
        width: Integer, at least `least_width`, base channels.
        attention_resolutions: Some of `map_resolutions(image_size)`, or None for
            `default_attention(image_size)`.
        num_classes: Integer, 0 for a network without classes.

    Raises:
        ValueError: if an argument is not among these.
    """

    image_sizes: tuple[int, ...] = ()
    least_width = 1
    takes_class_weights = False

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int,
        attention_resolutions: tuple[int, ...] | None,
        num_classes: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.check_image_size(image_size)
        check_choice("channels", channels, IMAGE_CHANNELS)
        check_least("width", width, self.least_width)
        if num_classes < 0 or num_classes == 1:
            raise ValueError(
                "`num_classes` must be 0, for none, or at least 2. "
                f"Received: num_classes={num_classes}"
            )
        if attention_resolutions is None:
            attention_resolutions = self.default_attention(image_size)
        maps = self.map_resolutions(image_size)
        if not set(attention_resolutions) <= set(maps):
            raise ValueError(
                f"At {image_size} px, attention can be at {_join(sorted(set(maps)))}. "
                f"Received: attention_resolutions={tuple(attention_resolutions)}"
            )
        self.image_size = image_size
        self.channels = channels
        self.width = width
        self.attention_resolutions = tuple(attention_resolutions)
        self.num_classes = num_classes

    @classmethod
    def check_image_size(cls, image_size: int) -> None:
        """Raises a `ValueError` if the network cannot have this image size."""
        check_choice("image_size", image_size, cls.image_sizes)

    @classmethod
    def map_resolutions(cls, image_size: int) -> tuple[int, ...]:
        """Returns the resolutions of the feature maps that attention can be at."""
        raise NotImplementedError

    @classmethod
    def default_attention(cls, image_size: int) -> tuple[int, ...]:
        """Returns the resolutions that attention is at by default."""
        raise NotImplementedError

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Returns the names of the constructor's own arguments."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)[1:]

    def split_inputs(
        self, inputs: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
        """Splits the network's inputs among the layers of the stack.

        By default the first layer gets all. A network whose blocks have inputs of their
        own, such as labels or a part of the latents, overrides this.

        Args:
            inputs: Latents or images.
            labels: Labels, or None.

        Returns:
            - The input of the stack's first layer.
            - A dict from the names of layers to tuples of their further inputs.
        """
        return inputs, {}

    def walk(
        self,
        inputs: Tensor,
        labels: Tensor | None = None,
        training: bool = False,
        return_attention_scores: bool = True,
    ) -> Iterator[tuple[Any, Tensor, Tensor, Tensor | None]]:
        """Runs the stack layer by layer.

        Args:
            inputs: Latents `[batch, latent_dim]` or images.
            labels: Integers `[batch]`, or None.
            training: Boolean, whether to use batch statistics and to update state.
            return_attention_scores: Boolean. Without the scores large maps are attended
                in chunks.

        Yields:
            Each layer with its input, its output and, for `SelfAttention`, its scores,
            float32 `[batch, N, M]`, else None.
        """
        x, further_inputs = self.split_inputs(inputs, labels)
        for layer in self.stack:
            scores = None
            if return_attention_scores and isinstance(layer, SelfAttention):
                outputs, scores = layer(
                    x, return_attention_scores=True, training=training
                )
            else:
                further = further_inputs.get(layer.name, ())
                outputs = layer(x, *further, training=training)
            yield layer, x, outputs, scores
            x = outputs

    def walk_shapes(
        self, inputs_shape: Shape, labels_shape: Shape | None = None
    ) -> Iterator[tuple[Any, tuple[Shape, ...]]]:
        """Yields each layer of the stack, built or not, with its inputs' shapes."""
        if self.num_classes and labels_shape is None:
            labels_shape = (inputs_shape[0],)
        labels = labels_shape and keras.KerasTensor(labels_shape, "int32")
        x, further_inputs = self.split_inputs(keras.KerasTensor(inputs_shape), labels)
        shape = x.shape
        for layer in self.stack:
            further = further_inputs.get(layer.name, ())
            shapes = (shape, *(tensor.shape for tensor in further))
            yield layer, shapes
            shape = layer.compute_output_shape(*shapes)

    def count_activations(self, inputs_shape: Shape) -> tuple[int, int]:
        """Counts the values that backpropagation through the stack keeps.

        Args:
            inputs_shape: Shape of a batch, with all sizes known.

        Returns:
            - The number of values in feature maps.
            - The number of values in attention maps.
        """
        values = scores = 0
        for layer, (shape, *_) in self.walk_shapes(inputs_shape):
            values += math.prod(layer.compute_output_shape(shape))
            if hasattr(layer, "count_inner_activations"):
                values += layer.count_inner_activations(shape)
            if isinstance(layer, SelfAttention):
                scores += layer.count_scores(shape)
        return values, scores

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.argument_names()}
        return {**super().get_config(), **own}

    def _build_stack(self, inputs_shape: Shape, labels_shape: Shape | None) -> Shape:
        """Builds the layers of the stack; returns the shape of its output."""
        for layer, shapes in self.walk_shapes(tuple(inputs_shape), labels_shape):
            layer.build(*shapes)
        return layer.compute_output_shape(*shapes)

    def _apply_stack(
        self,
        inputs: Tensor,
        labels: Tensor | None,
        training: bool,
        return_attention_scores: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the stack's output and the attention scores by layer name."""
        self._check_labels(labels)
        x, maps = inputs, {}
        steps = self.walk(inputs, labels, training, return_attention_scores)
        for layer, _, outputs, scores in steps:
            x = outputs
            if scores is not None:
                maps[layer.name] = scores
        return x, maps

    def _check_labels(self, labels: Tensor | None) -> None:
        network = type(self).__name__
        if self.num_classes and labels is None:
            raise ValueError(
                f"This {network} has {self.num_classes} classes and needs `labels`. "
                "Received: labels=None"
            )
        if labels is None:
            return
        if not self.num_classes:
            raise ValueError(f"This {network} has no classes and takes no `labels`")
        # Labels of shape [batch, 1] would be broadcast without an error.
        shape = tuple(labels.shape[1:])
        weights = self.takes_class_weights and shape == (self.num_classes,)
        if shape and not weights:
            raise ValueError(
                f"{network} takes `labels` of shape [batch]. "
                f"Received: labels of shape {tuple(labels.shape)}"
            )


class Generator(Network):
    """Base class of networks from latents, and labels, to images.

    A subclass sets `stack` and `to_image`, the layer that follows it.

    Args:
        latent_dim: Positive integer, length of a latent vector.
        **kwargs: Arguments of `Network`.

    Call arguments:
        latents: Float `[batch, latent_dim]`.
        labels: Only with classes: integers `[batch]` in `[0, num_classes)`, or class
            weights, float `[batch, num_classes]`, for images between classes.
        training: Boolean, whether to use batch statistics and to update state.
        return_attention_scores: Boolean, whether to return the attention maps too.

    Output: images, float32 `[batch, image_size, image_size, channels]` in `[-1, 1]`.
    With `return_attention_scores=True`, a pair of the images and a dict of attention
    maps, float32 `[batch, N, M]`, with names such as `attention_16x16`.

    Raises:
        ValueError: if an argument is out of its range; if labels are missing, or given
            without classes, or have another shape.
    """

    takes_class_weights = True

    def __init__(self, latent_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_least("latent_dim", latent_dim, 1)
        self.latent_dim = latent_dim

    def build(self, latents_shape: Shape, labels_shape: Shape | None = None) -> None:
        self.to_image.build(self._build_stack(latents_shape, labels_shape))

    def call(
        self,
        latents: Tensor,
        labels: Tensor | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
    ) -> Tensor:
        x, scores = self._apply_stack(
            latents, labels, training, return_attention_scores
        )
        x = self.to_image(x, training=training)
        images = self.activate(ops.cast(x, "float32"))
        return (images, scores) if return_attention_scores else images

    def activate(self, x: Tensor) -> Tensor:
        """Maps the float32 output of the last layer to pixels in `[-1, 1]`."""
        return ops.tanh(x)

    def compute_output_shape(
        self, latents_shape: Shape, labels_shape: Shape | None = None
    ) -> Shape:
        return (latents_shape[0], self.image_size, self.image_size, self.channels)


class Discriminator(Network):
    """Base class of networks from images, and labels, to logits.

    A subclass sets `stack` and `to_logit`, the layer that follows it; with classes also
    `embedding`, for `project`.

    Args:
        **kwargs: Arguments of `Network`.

    Call arguments:
        images: Float `[batch, image_size, image_size, channels]` in `[-1, 1]`.
        labels: Only with classes: integers `[batch]` in `[0, num_classes)`.
        training: Boolean, whether to use batch statistics and to update state.
        return_attention_scores: Boolean, whether to return the attention maps too.

    Output: logits, float32 `[batch]`, high for real images. With
    `return_attention_scores=True`, a pair of the logits and a dict of attention maps,
    float32 `[batch, N, M]`, with names such as `attention_8x8`.

    Raises:
        ValueError: if an argument is out of its range; if labels are missing, or given
            without classes, or have another shape.
    """

    embedding: Any = None  # from labels to vectors as long as the features

    def build(self, images_shape: Shape, labels_shape: Shape | None = None) -> None:
        self.to_logit.build(self._build_stack(images_shape, labels_shape))
        if self.embedding is not None:
            self.embedding.build((None,))

    def call(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
    ) -> Tensor:
        x, scores = self._apply_stack(images, labels, training, return_attention_scores)
        logits = self.compute_logits(x, labels, training)
        return (logits, scores) if return_attention_scores else logits

    def compute_logits(
        self, x: Tensor, labels: Tensor | None, training: bool
    ) -> Tensor:
        """Maps the output of the stack to logits, float32 `[batch]`."""
        logits = self.to_logit(x, training=training)
        return ops.reshape(ops.cast(logits, "float32"), (-1,))

    def project(
        self, features: Tensor, labels: Tensor | None, training: bool
    ) -> Tensor:
        """Returns `features . embedding[label]`, the projection.

        Args:
            features: float32 `[batch, features]`.
            labels: Integers `[batch]`.
            training: Boolean.

        Reference:
            [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637).
        """
        rows = self.embedding(labels, training=training)
        return ops.sum(ops.cast(rows, "float32") * features, axis=-1)

    def compute_output_shape(
        self, images_shape: Shape, labels_shape: Shape | None = None
    ) -> Shape:
        return (images_shape[0],)


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raises a `ValueError` if an argument is none of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {_join(choices)}. Received: {name}={value}"
        )


def check_least(name: str, value: int, least: int) -> None:
    """Raises a `ValueError` if an argument is below its least value."""
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")


def _join(values: Any) -> str:
    return ", ".join(map(str, values))
