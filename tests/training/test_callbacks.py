import csv

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.callbacks import MetricsLog, NonFiniteGuard

SMALL = {
    "image_size": 32,
    "channels": 1,
    "width": 8,
    "log_interval": 2,
    "generator_attention_resolutions": (8,),
    "discriminator_attention_resolutions": (8,),
}
LOGS = {
    "generator_loss": 1.0,
    "discriminator_loss": 2.0,
    "real_logits": 3.0,
    "fake_logits": 4.0,
}


@pytest.fixture(scope="module")
def model():
    return build_sagan(Config(**SMALL))


def write_log(model, workdir, first, last):
    log = MetricsLog(Config(**SMALL, workdir=str(workdir)))
    log.set_model(model)
    model.step.assign(first)
    log.on_train_begin()
    for step in range(first, last):
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
    # One power iteration from a random start is near, and never above.
    kernel = layer.kernel.numpy().reshape(-1, 16)
    true_sigma = np.linalg.svd(kernel, compute_uv=False)[0]
    assert 0.5 * true_sigma < sigma <= true_sigma * 1.0001
    assert float(rows[0]["images_per_second"]) > 0


def test_a_killed_runs_log_goes_on_without_gaps_or_doubles(model, tmp_path):
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_losses_that_are_no_numbers_end_the_run(model, value):
    guard = NonFiniteGuard()
    guard.set_model(model)
    model.step.assign(4)
    guard.on_train_begin()
    guard.on_train_batch_end(0, LOGS)
    with pytest.raises(UserError, match="no longer finite at step 6"):
        guard.on_train_batch_end(1, {**LOGS, "generator_loss": value})
