import dataclasses

import numpy as np
import pytest

from sagan_tf import load_run, train
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.flags import split_location
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.initialization import initialize

CONFIG = Config(
    image_size=32,
    channels=1,
    width=8,
    batch_size=8,
    steps=4,
    checkpoint_interval=2,
    num_samples=4,
    beta_1=0.5,
    generator_attention_resolutions=(8,),
    discriminator_attention_resolutions=(8,),
)
NETWORKS = ("generator", "discriminator", "ema_generator")
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("source")
    train(dataclasses.replace(CONFIG, workdir=str(workdir)))
    return workdir


def values(model, owners):
    return [
        variable.numpy()
        for owner in owners
        for variable in getattr(model, owner).variables
        if not variable.path.endswith("learning_rate")
    ]


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_locations():
    assert split_location("runs/a") == ("runs/a", False, None)
    assert split_location("runs/a@best") == ("runs/a", True, None)
    assert split_location("me@home/a@500") == ("me@home/a", False, 500)
    assert split_location("me@home/a") == ("me@home/a", False, None)


def test_networks_and_optimizers_are_copied_and_settings_are_not(source):
    model = build_sagan(
        dataclasses.replace(CONFIG, seed=5, generator_learning_rate=0.25)
    )
    initialize(model, f"{source}@2")
    former = load_run(source, step=2).model
    assert_equal(values(model, NETWORKS), values(former, NETWORKS))
    assert_equal(values(model, OPTIMIZERS), values(former, OPTIMIZERS))
    assert model.generator_optimizer.iterations == 2
    assert float(model.generator_optimizer.learning_rate) == 0.25
    assert model.step == 0


def test_a_decay_counts_from_the_new_runs_first_step(source):
    settings = {"decay_start_step": 1, "decay_end_step": 3}
    model = build_sagan(dataclasses.replace(CONFIG, **settings))
    initialize(model, str(source))
    assert model.generator_optimizer.iterations == 0
    assert_equal(values(model, NETWORKS), values(load_run(source).model, NETWORKS))


def test_what_does_not_fit_is_named_and_refused(source):
    changed = dataclasses.replace(
        CONFIG, latent_dim=16, discriminator_attention_resolutions=(8, 4)
    )
    model = build_sagan(changed)
    before = model.generator.get_layer("sn_4x4").kernel.numpy()
    with pytest.raises(
        UserError, match="do not fit .*: generator/sn_4x4/conv_4x4/kernel.*->.*"
    ) as error:
        initialize(model, str(source))
    assert "discriminator/attention_4x4/gamma is new" in str(error.value)
    assert "--init_partially" in str(error.value)
    initialize(model, str(source), partially=True)
    former = load_run(source).model
    new, old = (m.generator.get_layer("sn_4x4").kernel for m in (model, former))
    np.testing.assert_array_equal(new.numpy(), before)
    assert new.shape != old.shape
    new, old = (m.generator.get_layer("bn_8x8").gamma for m in (model, former))
    np.testing.assert_array_equal(new.numpy(), old.numpy())
    assert model.generator_optimizer.iterations == 0


def test_a_run_from_another_one_resumes_without_it(source, tmp_path, monkeypatch):
    """Killed before its first own checkpoint, it still starts from the other run."""
    config = dataclasses.replace(
        CONFIG, workdir=str(tmp_path), ema_warm_up=False, seed=3, steps=2
    )

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("sagan_tf.training.train._fit", killed)
        train(config, init_from=str(source))
    assert load_run(tmp_path).step == 0
    former = load_run(source).model
    assert_equal(values(load_run(tmp_path).model, NETWORKS), values(former, NETWORKS))
    run = train(config)
    assert run.step == 2
    # Without a warm-up two steps change the EMA by little.
    (old,), (new,) = (
        [v for v in m.ema_generator.variables if v.path.endswith("to_image/kernel")]
        for m in (former, run.model)
    )
    assert 0 < np.abs(old.numpy() - new.numpy()).max() < 1e-4
