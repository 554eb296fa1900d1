"""One global batch on the replicas of a `tf.distribute` strategy.

Each replica gets an equal share of every batch. Random values are drawn for the whole
batch, and each replica takes those of its share: the images, latents and augmentations
of a step are the same on any number of replicas.

Without a strategy there is one replica, whose share is the whole batch.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from sagan_tf.types import Tensor


def count() -> int:
    """Returns the number of replicas."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def take_share(
    values: Tensor, replica: Any, num_replicas: int, micro_batches: int = 1
) -> Tensor:
    """Returns a replica's share of a batch: an equal part of each micro-batch.

    Args:
        values: Tensor `[batch, ...]`.
        replica: Integer, or an integer tensor, below `num_replicas`.
        num_replicas: Integer.
        micro_batches: Integer, micro-batches per batch.

    Returns:
        Tensor `[batch / num_replicas, ...]`.
    """
    rest = values.shape[1:]
    parts = tf.reshape(values, (micro_batches, num_replicas, -1, *rest))
    return tf.reshape(parts[:, replica], (-1, *rest))


def draw(function: Callable, size: Tensor, micro_batches: int = 1) -> Tensor:
    """Draws random values for the whole batch and returns those of this replica.

    Args:
        function: From the number of values to a tensor of them.
        size: Integer, the number of values of this replica.
        micro_batches: Integer, micro-batches per batch.
    """
    if count() == 1:
        return function(size)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return take_share(function(size * count()), replica, count(), micro_batches)


def mean(values: Any) -> Any:
    """Returns the mean of each tensor over the replicas.

    Args:
        values: A float tensor or a list of them, of equal shapes on all replicas.
    """
    if count() == 1:
        return values
    # Outside of a device, such as that of `identity`, a tensor cannot be reduced.
    values = tf.nest.map_structure(tf.identity, values)
    return tf.distribute.get_replica_context().all_reduce("MEAN", values)
