"""Checkpoints of other implementations, imported as runs."""

from sagan_tf.importers.torch_sagan64 import import_sagan64

__all__ = ["import_sagan64"]
