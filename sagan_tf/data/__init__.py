"""From a data set's name to batches on the device."""

from sagan_tf.data.pipeline import make_dataset
from sagan_tf.data.sources import load_images, with_classes

__all__ = ["load_images", "make_dataset", "with_classes"]
