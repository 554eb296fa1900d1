import re

import numpy as np
import pytest

from sagan_tf import Sampler
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.guards import (
    CollapseGuard,
    NonFiniteGuard,
    SkippedStepsGuard,
)
from tests.training.settings import LOGS, SMALL


@pytest.fixture(scope="module")
def model():
    return build_sagan(Config(**SMALL))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_losses_that_are_not_finite_end_the_run(model, value):
    guard = NonFiniteGuard()
    guard.set_model(model)
    model.step.assign(4)
    guard.on_train_begin()
    guard.on_train_batch_end(0, LOGS)
    model.step.assign(6)
    with pytest.raises(UserError, match="no longer finite at step 6"):
        guard.on_train_batch_end(1, {**LOGS, "generator_loss": value})


def test_steps_that_are_skipped_again_and_again_end_the_run(tmp_path):
    config = Config(
        **SMALL, precision="mixed_float16", max_skipped_steps=3, workdir=str(tmp_path)
    )
    model = build_sagan(config)
    checkpoints = Checkpoints(tmp_path, model)
    guard = SkippedStepsGuard(config, checkpoints)
    guard.set_model(model)
    model.step.assign(4)
    guard.on_train_begin()
    for step in (5, 6, 7):
        assert checkpoints.restore() is None
        model.step.assign(step)
        model.skipped_in_a_row.assign(step - 4)
        if step < 7:
            guard.on_train_batch_end(step, LOGS)
    with pytest.raises(UserError, match="last 3 steps were not finite. Step 7 is"):
        guard.on_train_batch_end(7, LOGS)
    model.skipped_in_a_row.assign(0)
    assert checkpoints.restore() == 7
    assert model.skipped_in_a_row.numpy() == 3


def guard_for(model, real_images):
    config = Config(**SMALL, sample_interval=2)
    guard = CollapseGuard(config, Sampler(model.ema_generator), real_images)
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
        guard.model.step.assign_add(1)
        guard.on_train_batch_end(step, logs)
    return capsys.readouterr().err.splitlines()


def test_a_lack_of_diversity_gives_one_warning(model, capsys):
    # Images of an untrained generator vary little, noise of 0.3 a lot.
    (line,) = warnings_of(guard_for(model, noise(0.3)), capsys)
    assert line.startswith("Warning, step 1000: samples vary only")
    samples = Sampler(model.ema_generator).generate(64, seed=0).astype(float)
    ratio = samples.std(axis=0).mean() / (127.5 * noise(0.3).std(axis=0).mean())
    assert f"only {ratio:.0%} as much" in line


def test_a_healthy_run_gives_no_warning(model, capsys):
    assert warnings_of(guard_for(model, noise(0.002)), capsys) == []


def test_an_early_lack_of_diversity_gives_no_warning(model, capsys):
    guard = guard_for(model, noise(0.3))
    model.step.assign(990)
    guard.on_train_begin()
    assert warnings_of(guard, capsys) == []


def test_a_discriminator_that_is_too_strong_gives_a_warning(model, capsys):
    logs = {**LOGS, "real_logits": 9.0, "fake_logits": -9.0}
    (line,) = warnings_of(guard_for(model, noise(0.002)), capsys, logs)
    assert "logits are 18 apart" in line
    # The logits of a Wasserstein critic have no natural scale.
    critic = build_sagan(Config(**SMALL, loss="wgan"))
    assert warnings_of(guard_for(critic, noise(0.002)), capsys, logs) == []


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        (
            "sn_8x8",
            1e4,
            "discriminator/sn_8x8/sigma is .* usual values are 0.01 to 100",
        ),
        ("sn_8x8", 1e-4, "discriminator/sn_8x8/sigma is"),
        ("attention_8x8", None, "discriminator/attention_8x8/gamma is -11"),
    ],
)
def test_an_unusual_sigma_or_gamma_gives_a_warning(
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
