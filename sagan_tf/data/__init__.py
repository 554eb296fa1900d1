"""From a data set's name to batches on the device."""

from sagan_tf.data.pipeline import make_dataset

__all__ = ["make_dataset"]
