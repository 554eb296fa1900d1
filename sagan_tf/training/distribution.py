"""The devices that training runs on."""

import functools
from typing import Any

import tensorflow as tf


@functools.cache  # the collective operations of two strategies would clash
def make_strategy() -> Any:
    """Returns the `tf.distribute` strategy for the available devices.

    Several GPUs share each batch (`MirroredStrategy`). Each normalizes its own share,
    and the first one's batch statistics are kept, as in heykeetae's PyTorch code. With
    one GPU or none it is the default strategy, which does nothing.
    """
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def describe_devices() -> str:
    """Returns the names of the devices that training runs on."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU (TensorFlow sees no GPU)"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return ", ".join(detail.get("device_name", "GPU") for detail in details)
