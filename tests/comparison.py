"""Comparing runs that must be equal."""

import csv
from pathlib import Path

import numpy as np
import tensorflow as tf

from sagan_tf.training.checkpoints import find_steps


def last_checkpoint(workdir):
    """Returns the path of the last checkpoint; the best one does not count."""
    folder = Path(workdir) / "checkpoints"
    return folder / f"step-{find_steps(folder)[-1]}"


def read_tensors(path):
    """Returns the tensors of a checkpoint by name."""
    reader = tf.train.load_checkpoint(str(path))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in name
    }


def assert_same_checkpoint(path, other):
    first, second = read_tensors(path), read_tensors(other)
    assert first.keys() == second.keys()
    assert sum("generator_optimizer" in name for name in first) > 20
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


# Columns that depend on the time.
TIMES = ("images_per_second", "training_seconds", "elapsed_seconds")


def read_log(path):
    """Returns the rows of a log without what depends on the time."""
    with open(path, newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in TIMES}
            for row in csv.DictReader(file)
        ]
