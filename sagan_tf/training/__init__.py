"""Training: from a config to a run directory."""

from sagan_tf.training.train import train

__all__ = ["train"]
