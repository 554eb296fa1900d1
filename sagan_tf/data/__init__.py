"""From a data set's name to batches on the device."""

from sagan_tf.data.pipeline import make_dataset
from sagan_tf.data.sources import with_classes

__all__ = ["make_dataset", "with_classes"]
