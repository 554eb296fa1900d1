import csv
import re

import numpy as np
import pytest
import tensorflow as tf
from sagan_tf.evaluation.statistics import Gaussian

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.metrics import frechet_distance
from sagan_tf.models.builders import build_sagan
from sagan_tf.training import callbacks
from sagan_tf.training.callbacks import CollapseGuard, MetricsLog, NonFiniteGuard
from sagan_tf.training.checkpoints import Checkpoints

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


def test_each_row_is_of_the_steps_since_the_row_before(model, tmp_path, monkeypatch):
    resets = []
    monkeypatch.setattr(model, "reset_metrics", lambda: resets.append(model))
    write_log(model, tmp_path, 0, 7)
    assert len(resets) == 3


def test_tensorboard_gets_the_same(model, tmp_path):
    pytest.importorskip("tensorboard")
    write_log(model, tmp_path, 0, 5)
    (path,) = (tmp_path / "logs" / "tensorboard").iterdir()
    values = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            values[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    assert {step for step, _ in values} == {2, 4}
    assert values[4, "discriminator_loss"] == LOGS["discriminator_loss"]


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


def guard_for(model, real_images, **config):
    guard = CollapseGuard(Config(**SMALL, sample_interval=2, **config), real_images)
    guard.set_model(model)
    model.step.assign(998)
    guard.on_train_begin()
    return guard


def noise(deviation):
    random = np.random.default_rng(0)
    return random.normal(0, deviation, (64, 32, 32, 1)).astype("float32")


HEALTHY = {**LOGS, "real_logits": 1.0, "fake_logits": -1.0}


def warnings_of(guard, capsys, logs=HEALTHY, steps=4):
    for step in range(steps):
        guard.on_train_batch_end(step, logs)
    return capsys.readouterr().err.splitlines()


def test_samples_that_are_all_alike_are_warned_of_once(model, capsys):
    # What an untrained generator makes varies little; noise of 0.3 a lot.
    (line,) = warnings_of(guard_for(model, noise(0.3)), capsys)
    assert line.startswith("Warning, step 1000: samples vary only")
    samples = model.generate(64, seed=0).astype(float)
    ratio = samples.std(axis=0).mean() / (127.5 * noise(0.3).std(axis=0).mean())
    assert f"only {ratio:.0%} as much" in line


def test_a_healthy_run_is_not_warned_of(model, capsys):
    assert warnings_of(guard_for(model, noise(0.002)), capsys) == []


def test_an_early_lack_of_variety_is_not_warned_of(model, capsys):
    guard = guard_for(model, noise(0.3))
    model.step.assign(990)
    guard.on_train_begin()
    assert warnings_of(guard, capsys) == []


def test_a_discriminator_that_is_too_strong_is_warned_of(model, capsys):
    logs = {**LOGS, "real_logits": 9.0, "fake_logits": -9.0}
    (line,) = warnings_of(guard_for(model, noise(0.002)), capsys, logs)
    assert "logits are 18 apart" in line
    # A Wasserstein critic's have no natural size.
    assert warnings_of(guard_for(model, noise(0.002), loss="wgan"), capsys, logs) == []


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        ("sn_8x8", 1e4, "discriminator/sn_8x8/sigma is .* usual are 0.01 to 100"),
        ("sn_8x8", 1e-4, "discriminator/sn_8x8/sigma is"),
        ("attention_8x8", None, "discriminator/attention_8x8/gamma is -11"),
    ],
)
def test_sigma_and_gamma_out_of_band_are_warned_of(
    model, capsys, name, factor, message
):
    layer = model.discriminator.get_layer(name)
    variable = layer.gamma if factor is None else layer.kernel
    before = variable.numpy()
    variable.assign(before * factor if factor else -11.0)
    try:
        (line,) = warnings_of(guard_for(model, noise(0.002)), capsys)
    finally:
        variable.assign(before)
    assert re.search(message, line)


def evaluation_for(
    model, workdir, monkeypatch, figures, extractor_name="means", metric="fid"
):
    """The callback over the digits, whose figure is what the test says."""
    extractor = Extractor(
        "means",
        extractor_name,
        "none",
        lambda images: (np.asarray(images).mean(axis=(1, 3)), None),
    )
    monkeypatch.setattr(
        callbacks.evaluation, "load_extractor", lambda name, config: extractor
    )
    if figures is not None:
        figures = iter(figures)
        monkeypatch.setattr(
            callbacks.evaluation,
            "evaluate",
            lambda *_, **__: (
                {metric: next(figures)},
                {
                    "fake": f"at step {model.step}",
                    "num_fake": 50,
                    "extractor_sha256": extractor_name,
                },
            ),
        )
    config = Config(
        **SMALL,
        workdir=str(workdir),
        evaluation_interval=2,
        evaluation_images=50,
        evaluation_metric=metric,
    )
    checkpoints = Checkpoints(workdir, model)
    evaluation = callbacks.Evaluation(config, checkpoints)
    evaluation.set_model(model)
    return evaluation, checkpoints


def evaluate_steps(evaluation, first, last):
    model = evaluation.model
    model.step.assign(first)
    evaluation.on_train_begin()
    for step in range(first, last):
        model.step.assign(step + 1)
        evaluation.on_train_batch_end(step, LOGS)
    evaluation.on_train_end()


def read_figures(workdir):
    with open(workdir / "logs" / "evaluation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(row["step"]), float(row["figure"])) for row in rows]


def test_the_best_checkpoint_is_kept_over_restarts(model, tmp_path, monkeypatch):
    evaluation, checkpoints = evaluation_for(
        model, tmp_path, monkeypatch, [9.0, 5.0, 3.0, 4.0, 3.5, 2.0]
    )
    evaluate_steps(evaluation, 0, 6)
    assert read_figures(tmp_path) == [(0, 9.0), (2, 5.0), (4, 3.0), (6, 4.0)]
    assert checkpoints.restore(best=True) == 4
    # Killed, and gone on from step 4: step 6 comes again, and is not the best.
    evaluate_steps(evaluation, 4, 6)
    assert read_figures(tmp_path) == [(0, 9.0), (2, 5.0), (4, 3.0), (6, 3.5)]
    assert checkpoints.restore(best=True) == 4
    evaluate_steps(evaluation, 6, 8)
    assert checkpoints.restore(best=True) == 8


@pytest.mark.parametrize("other", [{"extractor_name": "larger"}, {"metric": "kid"}])
def test_figures_of_another_protocol_are_kept_and_not_compared(
    other, model, tmp_path, monkeypatch
):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, [9.0, 5.0])
    evaluate_steps(evaluation, 0, 2)
    # At step 2 again: this figure is not known there.
    figures = [900.0, 800.0, 850.0]
    evaluation, checkpoints = evaluation_for(
        model, tmp_path, monkeypatch, figures, **other
    )
    evaluate_steps(evaluation, 2, 6)
    expected = [(0, 9.0), (2, 5.0), (2, 900.0), (4, 800.0), (6, 850.0)]
    assert read_figures(tmp_path) == expected
    assert checkpoints.restore(best=True) == 4
    # Back to the first protocol, whose best checkpoint is gone.
    evaluation, checkpoints = evaluation_for(model, tmp_path, monkeypatch, [7.0])
    evaluate_steps(evaluation, 6, 6)
    assert checkpoints.restore(best=True) == 6


def test_the_best_checkpoint_is_there_before_its_row_says_so(
    model, tmp_path, monkeypatch
):
    evaluation, checkpoints = evaluation_for(model, tmp_path, monkeypatch, [9.0, 3.0])

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation._checkpoints, "save_best", lambda: None)
    evaluate_steps(evaluation, 0, 0)
    monkeypatch.setattr(evaluation._checkpoints, "save_best", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_steps(evaluation, 0, 2)
    evaluation.on_train_end()
    assert read_figures(tmp_path) == [(0, 9.0)]


def test_the_figure_is_of_the_averaged_generator(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, None)
    trained = model.generator.get_weights()
    model.generator.set_weights([weight + 0.1 for weight in trained])
    try:
        evaluate_steps(evaluation, 0, 2)
    finally:
        model.generator.set_weights(trained)
    (_, _, chunks) = callbacks.evaluation.find_images(
        "train", evaluation._config
    ).load()
    real, fake = (
        gaussian(images / 127.5 - 1)
        for images in (np.concatenate(list(chunks)), model.generate(50, seed=0))
    )
    (_, (_, figure)) = read_figures(tmp_path)
    assert figure == pytest.approx(frechet_distance(real, fake), rel=1e-4)


def gaussian(images):
    features = images.mean(axis=(1, 3))
    return Gaussian(len(features), features.mean(0), np.cov(features, rowvar=False))
