import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import load_run, train
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.training.distribution import Distribution

CONFIG = Config(
    image_size=32,
    channels=1,
    width=8,
    batch_size=8,
    steps=2,
    discriminator_steps=2,
    log_interval=1,
    sample_interval=1,
    checkpoint_interval=1,
    num_samples=4,
    generator_attention_resolutions=(8,),
    discriminator_attention_resolutions=(),
)


@pytest.fixture(autouse=True)
def on_two_devices(two_devices, monkeypatch):
    distribution = Distribution(two_devices, "mirrored")
    monkeypatch.setattr(
        "sagan_tf.training.train.make_distribution", lambda name: distribution
    )


@pytest.mark.exhaustive
def test_a_run_on_several_devices_resumes_and_is_sampled_on_one(tmp_path):
    config = dataclasses.replace(CONFIG, workdir=str(tmp_path))
    train(config)
    train(dataclasses.replace(config, steps=3))
    run = load_run(tmp_path)
    assert run.step == 3
    model = tf.saved_model.load(str(tmp_path / "export" / "saved_model"))
    images = model.signatures["sample"](
        num_images=tf.constant(4), seed=tf.constant(1), truncation=tf.constant(1.0)
    )["images"]
    np.testing.assert_array_equal(images, run.generate(4, seed=1))


@pytest.mark.exhaustive
def test_a_conditional_run_on_several_devices(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        architecture="resnet",
        conditional=True,
        synchronized_batch_norm=True,
        workdir=str(tmp_path),
    )
    train(config)
    assert load_run(tmp_path).step == 2


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    config = dataclasses.replace(CONFIG, batch_size=7, workdir=str(tmp_path / "run"))
    with pytest.raises(UserError, match="cannot be shared by 2 devices"):
        train(config)
    assert not (tmp_path / "run").exists()


def test_xla_is_refused_on_several_devices(tmp_path):
    config = dataclasses.replace(
        CONFIG, jit_compile=True, workdir=str(tmp_path / "run")
    )
    with pytest.raises(
        UserError, match="--jit_compile works on one device. Here are 2"
    ):
        train(config)
