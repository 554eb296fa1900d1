import functools

import tensorflow as tf


@functools.cache  # the collective operations of two in one process would clash
def make_strategy():
    """The `tf.distribute` strategy for the devices that are there.

    Several GPUs share each batch (`MirroredStrategy`), and each normalizes its own
    share, the first one's batch statistics being kept, as in the PyTorch seed. With
    one GPU, or none, it is the default strategy, which does nothing.
    """
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def describe_devices():
    """One line of text: what the training runs on."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU (TensorFlow sees no GPU)"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return ", ".join(detail.get("device_name", "GPU") for detail in details)
