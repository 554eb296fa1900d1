"""Attention in linear memory: exact, chunk by chunk, with its own gradient.

The scores of `N` queries for `M` keys fill `[N, M]`, and backpropagation keeps them.
Here only those of a few queries exist at a time. They are discarded, and recomputed for
the gradient, as in FlashAttention (Dao et al., 2022, arXiv 2205.14135).
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from sagan_tf.types import Tensor


def attend_in_chunks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    chunk_size: int,
    group_size: int | None = None,
) -> Tensor:
    """Returns `softmax(query key') value`, `[batch, N, channels]`, in linear memory.

    Args:
        query: `[batch, N, d]`, with known `N`.
        key: `[batch, M, d]`.
        value: `[batch, M, channels]`.
        chunk_size: Positive integer, a divisor of `N`: queries per chunk.
        group_size: Positive integer, a divisor of a known batch: how many images are
            computed at a time. The default is all of them.
    """

    @ops.custom_gradient
    def compute(query: Tensor, key: Tensor, value: Tensor) -> Any:
        tensors = (query, key, value)
        if keras.backend.backend() == "tensorflow":
            # A tape would record the loops, and keep the scores for the gradient. JAX
            # does not, and takes second derivatives of this pass.
            tensors = tuple(map(ops.stop_gradient, tensors))
        (outputs,) = _map_groups(
            lambda *group: (_attend_to_group(chunk_size, *group),),
            tensors,
            group_size,
            [(query.shape[1], value.shape[-1])],
        )

        def gradient(*arguments: Tensor, upstream: Tensor = None) -> tuple[Tensor, ...]:
            if upstream is None:
                (upstream,) = arguments
            return _map_groups(
                lambda *group: _differentiate_group(chunk_size, *group),
                (query, key, value, upstream),
                group_size,
                [x.shape[1:] for x in (query, key, value)],
            )

        return outputs, gradient

    return compute(query, key, value)


def _map_groups(
    function: Callable,
    tensors: tuple[Tensor, ...],
    group_size: int | None,
    shapes: list[tuple[int, ...]],
) -> tuple[Tensor, ...]:
    """Calls a function on groups of images in sequence and joins the results.

    Args:
        function: From a part of each tensor to a tuple of results.
        tensors: Tensors of one batch.
        group_size: As in `attend_in_chunks`.
        shapes: Those of the results, without the batch.
    """
    batch = tensors[0].shape[0]
    if group_size is None or group_size == batch:
        return function(*tensors)
    groups = tuple(
        ops.reshape(x, (batch // group_size, group_size, *x.shape[1:])) for x in tensors
    )
    dtype = tensors[0].dtype
    initial = tuple(ops.zeros((group_size, *shape), dtype) for shape in shapes)
    _, results = ops.scan(lambda _, group: 2 * (function(*group),), initial, groups)
    return tuple(ops.reshape(x, (batch, *x.shape[2:])) for x in results)


def _attend_to_group(
    chunk_size: int, query: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    batch, num_chunks = ops.shape(query)[0], query.shape[1] // chunk_size
    if num_chunks == 1:
        return _attend(query, key, value)
    chunks = ops.reshape(query, (batch, num_chunks, chunk_size, query.shape[-1]))
    # A scan, unlike a map, computes one chunk after the other.
    _, outputs = ops.scan(
        lambda _, chunk: 2 * (_attend(chunk, key, value),),
        ops.zeros((batch, chunk_size, value.shape[-1]), value.dtype),
        ops.transpose(chunks, (1, 0, 2, 3)),
        length=num_chunks,
    )
    outputs = ops.transpose(outputs, (1, 0, 2, 3))
    return ops.reshape(outputs, (batch, query.shape[1], value.shape[-1]))


def _differentiate_group(
    chunk_size: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    upstream: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients by queries, keys and values."""
    batch, num_chunks = ops.shape(query)[0], query.shape[1] // chunk_size
    if num_chunks == 1:
        return _backpropagate(query, key, value, upstream)

    def step(
        _: Tensor, totals: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        # The first rows leave, and follow after the last ones with the gradients in
        # place of the queries. TensorFlow runs iterations in parallel as far as they do
        # not depend on one another, and so would have the scores of many chunks at
        # once: the position of a chunk therefore comes from its rows, not from the
        # loop's counter.
        rows, key_total, value_total = totals
        chunk = ops.cast(rows[:, :chunk_size, :-1], query.dtype)
        start = ops.cast(rows[0, 0, -1], "int32")
        outputs = ops.slice(
            upstream, (0, start, 0), (batch, chunk_size, upstream.shape[-1])
        )
        of_chunk, of_key, of_value = _backpropagate(chunk, key, value, outputs)
        done = ops.cast(of_chunk, "float32")
        done = ops.concatenate([done, rows[:, :chunk_size, -1:]], axis=-1)
        return (
            ops.concatenate([rows[:, chunk_size:], done], axis=1),
            key_total + ops.cast(of_key, "float32"),
            value_total + ops.cast(of_value, "float32"),
        )

    positions = ops.arange(query.shape[1], dtype="float32")
    positions = ops.broadcast_to(positions[None, :, None], (batch, query.shape[1], 1))
    totals = (
        ops.concatenate([ops.cast(query, "float32"), positions], axis=-1),
        ops.zeros_like(key, dtype="float32"),
        ops.zeros_like(value, dtype="float32"),
    )
    rows, of_key, of_value = ops.fori_loop(0, num_chunks, step, totals)
    gradients = rows[..., :-1], of_key, of_value
    of_query, of_key, of_value = (ops.cast(x, value.dtype) for x in gradients)
    return of_query, of_key, of_value


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return ops.matmul(ops.cast(_score(query, key), value.dtype), value)


def _score(query: Tensor, key: Tensor) -> Tensor:
    # [B, N, d] x [B, d, M] -> [B, N, M]
    logits = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
    return ops.softmax(ops.cast(logits, "float32"), axis=-1)


def _backpropagate(
    query: Tensor, key: Tensor, value: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of a chunk's output by queries, keys and values."""
    scores = _score(query, key)
    rounded = ops.cast(scores, value.dtype)
    of_value = ops.matmul(ops.transpose(rounded, (0, 2, 1)), upstream)
    of_scores = ops.matmul(upstream, ops.transpose(value, (0, 2, 1)))
    of_scores = ops.cast(of_scores, "float32")
    # The softmax: the gradient of the logits is P * (dP - rowsum(dP * P)).
    mean = ops.sum(of_scores * scores, axis=-1, keepdims=True)
    of_logits = ops.cast(scores * (of_scores - mean), value.dtype)
    of_query = ops.matmul(of_logits, key)
    of_key = ops.matmul(ops.transpose(of_logits, (0, 2, 1)), query)
    return of_query, of_key, of_value
