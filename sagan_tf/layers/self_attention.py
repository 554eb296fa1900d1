from typing import Any

import keras
from keras import ops

from sagan_tf.layers.chunked_attention import attend_in_chunks
from sagan_tf.layers.processor import is_cpu
from sagan_tf.layers.spectral_normalization import (
    SpectralNormalization,
    check_epsilon,
)
from sagan_tf.types import Shape, Tensor

# How many scores an image must have for chunks, and how many are in a chunk. On a CPU
# chunks of single images fit the cache, and are as fast as all scores at once: in half
# precision, whose casts are bound by memory, from smaller maps on.
# `benchmarks/README.md` has the measurements.
_LARGE = 2**22
_LARGE_IN_HALF_PRECISION = 2**20
_CHUNK = 2**20
_CHUNK_IN_CACHE = 2**21


@keras.saving.register_keras_serializable(package="sagan_tf")
class SelfAttention(keras.layers.Layer):
    """Self-attention over the positions of a feature map, as in SAGAN.

    `x` is a map of `N = H * W` positions with `C` channels. `Wf`, `Wg`, `Wh` and `Wv`
    are 1x1 convolutions:

    1. `query = Wf x` and `key = pool(Wg x)` have `C // key_reduction` channels;
       `value = pool(Wh x)` has `C // value_reduction` channels.
    2. `scores = softmax(query key')` holds how much each of the `N` queries attends to
       each of the `M = N / pool_size**2` keys. There is no scaling by `1/sqrt(d)`.
    3. `output = gamma * Wv(scores value) + x`, with `Wv` only if
       `use_output_projection`.

    `gamma` is a learned scalar that starts at 0, so a new layer is the identity. The
    softmax and `gamma` are float32 under every dtype policy.

    Args:
        key_reduction: Positive integer; queries and keys have
            `C // key_reduction` channels.
        value_reduction: Positive integer; values have `C // value_reduction`
            channels. Values above 1 need `use_output_projection`.
        pool_size: Positive integer; keys and values are max-pooled by this factor in
            height and width. The paper's official code uses 2.
        use_output_projection: Boolean, whether the 1x1 convolution `Wv` maps the
            attended values back to `C` channels.
        use_bias: Boolean, whether the convolutions have biases.
        spectral_normalization: Boolean, whether the convolutions are wrapped in
            `SpectralNormalization`.
        spectral_norm_epsilon: Small float, the epsilon of `SpectralNormalization`.
        normalize_over: `"keys"`, as in the paper: the scores of each query sum to 1;
            or `"queries"`, as in some ports: the scores of each key sum to 1.
        kernel_initializer: Initializer of the kernels. Each convolution has a copy with
            a seed of its own.
        bias_initializer: Initializer of the biases, copied likewise.
        chunk_size: Positive integer: the scores of at most so many queries exist at a
            time, and are recomputed for the gradient, so that memory grows with
            `N + M` instead of `N * M`. It is rounded down to a divisor of `N`. None:
            all scores exist. `"auto"`: chunks where that saves much memory, from 64x64
            positions with pooling on, or time, which depends on the processor and the
            precision. Results are the same up to rounding. Chunks need
            `normalize_over="keys"` and maps of known size: all scores exist for maps of
            unknown size, and with `return_attention_scores`. Second derivatives work
            too, with the memory of all scores, but not under TensorFlow's XLA;
            forward-mode derivatives (`jax.jvp`) need `chunk_size=None`.

    Call arguments:
        inputs: Feature map, float `[batch, height, width, channels]`, whatever Keras'
            image data format. It need not be square.
        return_attention_scores: Boolean, whether to return the scores too. Set it when
            you build a functional model that returns them. For the scores of a
            functional model that exists, call its layer on
            `keras.Model(model.input, layer.input)(images)`.
        training: Boolean, whether spectral normalization updates its state.

    Output: a map of the inputs' shape and the layer's compute dtype. With
    `return_attention_scores=True`, a pair of this map and the scores, float32
    `[batch, N, M]`, positions in row-major order.

    Raises:
        ValueError: if an argument is out of its range, if there are too few channels
            for a reduction, or if the map's height or width is not a multiple of
            `pool_size`.

    Example:

    ```python
    x = keras.Input((16, 16, 64))
    outputs, scores = SelfAttention(pool_size=2)(x, return_attention_scores=True)
    # outputs: [batch, 16, 16, 64], scores: [batch, 256, 64]
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318), equations 1 to 3.
    """

    kernel_size = 1  # of the convolutions; a subclass may set another

    def __init__(
        self,
        key_reduction: int = 8,
        value_reduction: int = 1,
        pool_size: int = 1,
        use_output_projection: bool = False,
        use_bias: bool = True,
        spectral_normalization: bool = False,
        spectral_norm_epsilon: float = 1e-12,
        normalize_over: str = "keys",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        chunk_size: Any = "auto",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("key_reduction", key_reduction),
            ("value_reduction", value_reduction),
            ("pool_size", pool_size),
        ):
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r}"
                )
        check_epsilon("spectral_norm_epsilon", spectral_norm_epsilon)
        if value_reduction > 1 and not use_output_projection:
            raise ValueError(
                "With `value_reduction` above 1 the values have fewer channels than "
                "the inputs they are added to: set `use_output_projection=True`. "
                f"Received: value_reduction={value_reduction}"
            )
        if normalize_over not in ("keys", "queries"):
            raise ValueError(
                '`normalize_over` must be "keys" or "queries". '
                f"Received: normalize_over={normalize_over!r}"
            )
        is_size = type(chunk_size) is int and chunk_size > 0
        if not is_size and chunk_size not in (None, "auto"):
            raise ValueError(
                '`chunk_size` must be a positive integer, None or "auto". '
                f"Received: chunk_size={chunk_size!r}"
            )
        if is_size and normalize_over == "queries":
            raise ValueError(
                'A `chunk_size` needs `normalize_over="keys"`. '
                f"Received: chunk_size={chunk_size}"
            )
        self.key_reduction = key_reduction
        self.value_reduction = value_reduction
        self.pool_size = pool_size
        self.use_output_projection = use_output_projection
        self.use_bias = use_bias
        self.spectral_normalization = spectral_normalization
        self.spectral_norm_epsilon = spectral_norm_epsilon
        self.normalize_over = normalize_over
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.chunk_size = chunk_size

    def build(self, input_shape: Shape) -> None:
        self._check_input_shape(input_shape)
        channels = input_shape[-1]
        key_channels = channels // self.key_reduction
        value_channels = channels // self.value_reduction
        self.query = self._convolution("query", 0, key_channels)
        self.key = self._convolution("key", 1, key_channels)
        self.value = self._convolution("value", 2, value_channels)
        for convolution in (self.query, self.key, self.value):
            convolution.build(input_shape)
        self.output_projection = None
        if self.use_output_projection:
            self.output_projection = self._convolution("output_projection", 3, channels)
            self.output_projection.build((*input_shape[:-1], value_channels))
        self.gamma = self.add_weight(
            name="gamma",
            shape=(),
            initializer="zeros",
            dtype="float32",
            autocast=False,
        )

    def attend(self, inputs: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Returns the attention output before it is scaled by gamma.

        Args:
            inputs: Feature map `[batch, height, width, channels]` in the compute dtype.
            training: Boolean, as in the call.

        Returns:
            - `o` of the paper's equation 2, of the shape and dtype of the inputs.
            - The scores, float32 `[batch, N, M]`.
        """
        query, key, value = self.project(inputs, training)
        # [B, N, C/8] x [B, C/8, M] -> [B, N, M]
        logits = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        axis = -1 if self.normalize_over == "keys" else -2
        scores = ops.softmax(ops.cast(logits, "float32"), axis=axis)
        # [B, N, M] x [B, M, C/v] -> [B, N, C/v]
        attended = ops.matmul(ops.cast(scores, self.compute_dtype), value)
        return self._project_back(attended, inputs, training), scores

    def call(
        self,
        inputs: Tensor,
        return_attention_scores: bool = False,
        training: bool = False,
    ) -> Tensor:
        self._check_input_shape(inputs.shape)
        chunks = self._choose_chunks(inputs.shape)
        if return_attention_scores or chunks is None:
            attended, scores = self.attend(inputs, training)
        else:
            query, key, value = self.project(inputs, training)
            attended = attend_in_chunks(query, key, value, *chunks)
            attended = self._project_back(attended, inputs, training)
        # In float32: half precision would round gamma and its gradient, which is a sum
        # over the whole batch.
        outputs = self.gamma * ops.cast(attended, "float32") + ops.cast(
            inputs, "float32"
        )
        outputs = ops.cast(outputs, self.compute_dtype)
        return (outputs, scores) if return_attention_scores else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def compute_scores_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the scores, `(batch, N, M)`, for a map's shape."""
        batch, height, width, _ = input_shape
        if height is None or width is None:
            return (batch, None, None)
        queries = height * width
        return (batch, queries, queries // self.pool_size**2)

    def count_scores(self, input_shape: tuple[int, ...]) -> int:
        """Counts the scores that exist at a time in training, for a map's shape."""
        batch, queries, keys = self.compute_scores_shape(input_shape)
        chunk_size, group_size = self._choose_chunks(input_shape) or (queries, None)
        return (group_size or batch) * chunk_size * keys

    def compute_output_spec(
        self,
        inputs: Tensor,
        return_attention_scores: bool = False,
        training: bool = False,
    ) -> Tensor:
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        scores = keras.KerasTensor(self.compute_scores_shape(inputs.shape), "float32")
        return outputs, scores

    def get_config(self) -> dict[str, Any]:
        serialize = keras.initializers.serialize
        return {
            **super().get_config(),
            "key_reduction": self.key_reduction,
            "value_reduction": self.value_reduction,
            "pool_size": self.pool_size,
            "use_output_projection": self.use_output_projection,
            "use_bias": self.use_bias,
            "spectral_normalization": self.spectral_normalization,
            "spectral_norm_epsilon": self.spectral_norm_epsilon,
            "normalize_over": self.normalize_over,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "chunk_size": self.chunk_size,
        }

    def project(self, inputs: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        """Returns queries, keys and values.

        Args:
            inputs: Feature map `[batch, height, width, channels]` in the compute dtype.
            training: Boolean, as in the call.

        Returns:
            Queries `[batch, N, channels / key_reduction]`, keys `[batch, M, channels /
            key_reduction]` and values `[batch, M, channels / value_reduction]`, in the
            compute dtype.
        """
        return (
            self._flatten(self.query(inputs, training=training)),
            self._flatten(self._pool(self.key(inputs, training=training))),
            self._flatten(self._pool(self.value(inputs, training=training))),
        )

    def _project_back(self, attended: Tensor, inputs: Tensor, training: bool) -> Tensor:
        attended = ops.reshape(attended, (*ops.shape(inputs)[:-1], attended.shape[-1]))
        if self.output_projection is not None:
            attended = self.output_projection(attended, training=training)
        return attended

    def _choose_chunks(self, input_shape: Shape) -> tuple[int, int | None] | None:
        """Returns how the scores are divided, or None if all are computed at once.

        Returns:
            - How many queries are in a chunk.
            - Of how many images, or None for the whole batch.
        """
        batch, queries, keys = self.compute_scores_shape(input_shape)
        if self.chunk_size is None or not queries:
            return None
        if self.chunk_size != "auto":
            return _largest_divisor(queries, self.chunk_size), None
        if self.normalize_over == "queries":
            return None
        if queries * keys < _LARGE_IN_HALF_PRECISION:
            return None
        in_cache = batch is not None and is_cpu()
        is_quicker = in_cache and self.compute_dtype in ("bfloat16", "float16")
        if queries * keys < _LARGE and not is_quicker:
            return None
        if not in_cache:
            return _largest_divisor(queries, _CHUNK // keys), None
        chunk_size = _largest_divisor(queries, _CHUNK_IN_CACHE // keys)
        return chunk_size, _largest_divisor(batch, _CHUNK_IN_CACHE // (queries * keys))

    def _convolution(self, name: str, index: int, filters: int) -> Any:
        convolution = keras.layers.Conv2D(
            filters,
            kernel_size=self.kernel_size,
            padding="same",
            use_bias=self.use_bias,
            kernel_initializer=_copy_initializer(self.kernel_initializer, index),
            bias_initializer=_copy_initializer(self.bias_initializer, index),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )
        if not self.spectral_normalization:
            return convolution
        return SpectralNormalization(
            convolution, epsilon=self.spectral_norm_epsilon, name=f"{name}_sn"
        )

    def _pool(self, features: Tensor) -> Tensor:
        if self.pool_size == 1:
            return features
        return ops.max_pool(
            features, self.pool_size, self.pool_size, data_format="channels_last"
        )

    def _flatten(self, features: Tensor) -> Tensor:
        # [B, H, W, C] -> [B, N, C]
        batch, height, width, channels = ops.shape(features)
        return ops.reshape(features, (batch, height * width, channels))

    def _check_input_shape(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                "`SelfAttention` takes a feature map [batch, height, width, channels] "
                "with a known number of channels. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        _, height, width, channels = input_shape
        for name in ("key_reduction", "value_reduction"):
            if channels < getattr(self, name):
                raise ValueError(
                    f"`SelfAttention` with {name}={getattr(self, name)} needs at least "
                    f"that many channels: use more, or a smaller {name}. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
        for size in (height, width):
            if size is not None and size % self.pool_size:
                raise ValueError(
                    f"`SelfAttention` with pool_size={self.pool_size} needs a map "
                    "whose height and width are multiples of it. "
                    f"Received: input_shape={tuple(input_shape)}"
                )


def _largest_divisor(number: int, most: int) -> int:
    """Returns the largest divisor that is not above `most`, and 1 if that is below."""
    most = min(max(most, 1), number)
    return next(i for i in range(most, 0, -1) if number % i == 0)


def _copy_initializer(initializer: Any, index: int) -> Any:
    """Returns a copy whose seed, if the caller set one, differs by `index`.

    Two convolutions of one shape and one seed would start equal and stay equal.
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += index
    return type(initializer).from_config(config)
