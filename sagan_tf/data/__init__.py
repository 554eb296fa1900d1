"""From the name of a data set to batches on the device."""

from sagan_tf.data.loading import load_data, load_images
from sagan_tf.data.pipeline import make_dataset
from sagan_tf.data.sources import open_source, with_classes

__all__ = ["load_data", "load_images", "make_dataset", "open_source", "with_classes"]
