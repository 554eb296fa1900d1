import csv

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import Sampler
from sagan_tf.config import Config
from sagan_tf.models.builders import build_sagan
from sagan_tf.training import callbacks
from sagan_tf.training.callbacks import MetricsLog, SampleGrid
from sagan_tf.training.logs import Board
from tests.training.settings import LOGS, SMALL


@pytest.fixture(scope="module")
def model():
    return build_sagan(Config(**SMALL))


def write_log(model, workdir, first, last, **settings):
    config = Config(**{**SMALL, **settings}, workdir=str(workdir))
    log = MetricsLog(config, Board(workdir / "logs"))
    log.set_model(model)
    model.step.assign(first)
    log.on_train_begin()
    for step in range(first, last):
        log.on_train_batch_begin(step)
        model.step.assign(step + 1)
        log.on_train_batch_end(step, LOGS)
    log.on_train_end()


def read_log(workdir):
    with open(workdir / "logs" / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_are_logged_by_step(model, tmp_path):
    write_log(model, tmp_path, 0, 7)
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert {name: float(rows[0][name]) for name in LOGS} == LOGS
    assert rows[0]["generator/attention_8x8/gamma"] == "0"
    sigma = float(rows[0]["discriminator/sn_8x8/sigma"])
    layer = model.discriminator.get_layer("sn_8x8")
    # One power iteration from a random start: near the true value, and never above.
    kernel = layer.kernel.numpy().reshape(-1, 16)
    true_sigma = np.linalg.svd(kernel, compute_uv=False)[0]
    assert 0.5 * true_sigma < sigma <= true_sigma * 1.0001
    assert float(rows[0]["images_per_second"]) > 0


def test_the_last_step_is_logged(model, tmp_path):
    write_log(model, tmp_path, 0, 5, steps=5)
    assert [row["step"] for row in read_log(tmp_path)] == ["2", "4", "5"]
    write_log(model, tmp_path, 5, 7, steps=7)
    assert [row["step"] for row in read_log(tmp_path)] == ["2", "4", "5", "6", "7"]


def test_the_time_of_grids_is_no_training_time(model, tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: now)
    config = Config(**SMALL, workdir=str(tmp_path))

    def run(first, last):
        nonlocal now
        log = MetricsLog(config, Board(tmp_path / "logs"))
        log.set_model(model)
        model.step.assign(first)
        log.on_train_begin()
        for step in range(first, last):
            now += 10.0  # a grid
            log.on_train_batch_begin(step)
            now += 2.0  # a step
            model.step.assign(step + 1)
            log.on_train_batch_end(step, LOGS)

    run(0, 4)
    now += 1000.0  # it does not run
    run(4, 6)
    rows = read_log(tmp_path)
    assert [float(row["training_seconds"]) for row in rows] == [4, 8, 12]
    assert [float(row["elapsed_seconds"]) for row in rows] == [24, 48, 72]
    speeds = [float(row["images_per_second"]) for row in rows]
    assert speeds == [config.batch_size / 2.0] * 3


def test_a_run_of_an_earlier_version_has_no_times(model, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text("step,generator_loss\n2,0.5\n")
    write_log(model, tmp_path, 2, 4)
    assert [row["training_seconds"] for row in read_log(tmp_path)] == ["", "nan"]


def test_each_row_averages_the_steps_since_the_row_before(model, tmp_path, monkeypatch):
    resets = []
    monkeypatch.setattr(model, "reset_metrics", lambda: resets.append(model))
    write_log(model, tmp_path, 0, 7)
    assert len(resets) == 3


def test_tensorboard_gets_the_same_numbers_and_the_grids(model, tmp_path):
    pytest.importorskip("tensorboard")
    write_log(model, tmp_path, 0, 5)
    config = Config(**SMALL, workdir=str(tmp_path), num_samples=4, sample_interval=3)
    board = Board(tmp_path / "logs")
    grid = SampleGrid(config, Sampler(model.ema_generator), board)
    grid.set_model(model)
    model.step.assign(0)
    grid.on_train_begin()
    for step in range(4):
        grid.on_train_batch_begin(step)
        model.step.assign(step + 1)
        grid.on_train_batch_end(step, LOGS)
    scalars, images = {}, {}
    for path in (tmp_path / "logs" / "tensorboard").iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                kind = images if array.dtype == object else scalars
                kind[event.step, value.tag] = array
    assert {step for step, _ in scalars} == {2, 4}
    assert scalars[4, "discriminator_loss"] == LOGS["discriminator_loss"]
    maps = ("attention/generator_8x8", "attention/discriminator_8x8")
    assert set(images) == {(3, name) for name in ("samples", *maps)}
    for name in maps:
        width, height, encoded = images[3, name]
        sheet = tf.io.decode_png(encoded).numpy()
        assert sheet.shape == (int(height), int(width), 3)
        assert sheet[30:].std() > 10
    _, _, encoded = images[3, "samples"]
    written = (tmp_path / "samples" / "000003.png").read_bytes()
    np.testing.assert_array_equal(
        tf.io.decode_png(encoded)[..., :1], tf.io.decode_png(written)
    )


def test_the_log_of_a_killed_run_has_neither_gaps_nor_duplicates(model, tmp_path):
    write_log(model, tmp_path, 0, 10)
    path = tmp_path / "logs" / "metrics.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])  # half of the last row
    write_log(model, tmp_path, 6, 12)
    assert [row["step"] for row in read_log(tmp_path)] == [
        "2",
        "4",
        "6",
        "8",
        "10",
        "12",
    ]
