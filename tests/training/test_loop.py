import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import train
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import find_checkpoints
from sagan_tf.training.loop import run_steps
from tests.comparison import assert_same_checkpoint, read_log
from tests.training.settings import SMALL

CONFIG = Config(
    **{**SMALL, "log_interval": 5},
    batch_size=8,
    steps=12,
    num_samples=4,
    sample_interval=12,
    checkpoint_interval=6,
)


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        assert int(self.model.step.numpy()) == batch + 1
        self.steps.append(batch + 1)


def test_executions_end_at_every_interval_and_at_the_last_step():
    model = build_sagan(CONFIG)
    model.step.assign(1)
    images = tf.data.Dataset.from_tensors(tf.zeros((8, 32, 32, 1))).repeat()
    recorder = Recorder()
    run_steps(model, tf.distribute.get_strategy(), images, 17, [recorder], 4, [5, 6])
    assert recorder.steps == [5, 6, 10, 12, 15, 17]


def test_several_steps_per_execution_train_as_one_does(tmp_path):
    one, several = (
        dataclasses.replace(
            CONFIG, workdir=str(tmp_path / str(k)), steps_per_execution=k
        )
        for k in (1, 4)
    )
    train(one)
    train(several)
    rows, others = (
        read_log(c.run_dir / "logs" / "metrics.csv") for c in (one, several)
    )
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, other in zip(rows, others, strict=True):
        for name, value in row.items():
            assert float(other[name]) == pytest.approx(float(value), abs=1e-3)


def test_losses_that_are_not_finite_inside_an_execution_are_found(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        workdir=str(tmp_path),
        steps_per_execution=6,
        discriminator_learning_rate=1e30,
    )
    with pytest.raises(UserError, match="no longer finite at step [56] "):
        train(config)
    assert not find_checkpoints(tmp_path)


@pytest.mark.exhaustive
def test_a_run_in_float16_resumes_bit_for_bit(tmp_path):
    """Its first steps are skipped: the loss scale starts too high."""
    config = dataclasses.replace(CONFIG, precision="mixed_float16", loss="lsgan")
    whole = dataclasses.replace(config, workdir=str(tmp_path / "whole"))
    run = train(whole)
    scales = [
        float(optimizer.dynamic_scale.numpy())
        for optimizer in (
            run.model.generator_optimizer,
            run.model.discriminator_optimizer,
        )
    ]
    assert min(scales) < 2.0**15
    parts = dataclasses.replace(config, workdir=str(tmp_path / "parts"))
    for steps in (1, 3, 12):
        train(dataclasses.replace(parts, steps=steps))
    assert_same_checkpoint(
        find_checkpoints(whole.run_dir)[-1], find_checkpoints(parts.run_dir)[-1]
    )
    rows, others = (
        read_log(c.run_dir / "logs" / "metrics.csv") for c in (whole, parts)
    )
    assert rows == others
    assert np.sum([float(row["skipped_steps"]) for row in rows]) > 0
