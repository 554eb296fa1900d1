"""Training: from a config to a run directory, and back from there."""

from sagan_tf.training.load_run import Run, load_run
from sagan_tf.training.run import run

__all__ = ["Run", "load_run", "run"]
