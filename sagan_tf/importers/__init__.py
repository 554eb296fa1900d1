"""Other people's checkpoints, turned into runs of this package."""

from sagan_tf.importers.torch_sagan64 import import_sagan64

__all__ = ["import_sagan64"]
