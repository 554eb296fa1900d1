import dataclasses
import math
import os
import re

import pytest

from sagan_tf.augmentation import AUGMENTATIONS
from sagan_tf.config import (
    EXTRACTORS,
    Config,
    check_trusted,
    load_config,
    load_preset,
)
from sagan_tf.errors import UserError
from sagan_tf.evaluation import METRICS, load_extractor
from sagan_tf.gradient_penalties import PENALTIES
from sagan_tf.losses import LOSSES
from sagan_tf.models.builders import NETWORKS
from sagan_tf.models.resnet import ATTENTION, INITIALIZERS
from sagan_tf.sampling import LATENT_DISTRIBUTIONS

FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def test_json_round_trip(tmp_path):
    config = Config(
        dataset="x/y",
        generator_attention_resolutions=[4, 8],
        discriminator_attention_resolutions=[],
        crop_size=None,
        workdir=str(tmp_path),
    )
    (tmp_path / "config.json").write_text(config.to_json())
    assert load_config(tmp_path) == config


def test_differences_leave_out_settings_that_may_change_on_resume():
    config = Config()
    changed = {
        **{"steps": 3, "workdir": "w", "data_dir": "d", "evaluation_interval": 5},
        **{"log_interval": 3, "sample_interval": 4, "checkpoint_interval": 5},
        **{"keep_checkpoints": 1, "keep_checkpoints_every": 10, "num_samples": 9},
    }
    assert config.differences(dataclasses.replace(config, **changed)) == {}
    other = dataclasses.replace(config, batch_size=3, loss="wgan")
    assert config.differences(other) == {
        "batch_size": (64, 3),
        "loss": ("hinge", "wgan"),
    }


def test_every_field_has_help_and_a_group():
    for field in FIELDS.values():
        assert field.metadata["help"].endswith("."), field.name
        assert field.metadata["group"] in ("Data", "Networks", "Training", "Run")


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("architecture", NETWORKS),
        ("latent_distribution", LATENT_DISTRIBUTIONS),
        ("attention", ATTENTION),
        ("initializer", INITIALIZERS),
        ("augmentation", AUGMENTATIONS),
        ("loss", LOSSES),
        ("gradient_penalty", PENALTIES),
    ],
)
def test_choices_are_those_of_the_code(name, choices):
    assert FIELDS[name].metadata["choices"] == tuple(choices)


def test_runs_are_evaluated_by_metrics_that_exist():
    assert set(FIELDS["evaluation_metric"].metadata["choices"]) <= set(METRICS)


NUMBERS = [
    name
    for name, field in FIELDS.items()
    if field.type in (int, float, int | None, float | None)
]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range(name):
    for value in (math.nan, math.inf, -math.inf):
        value = value if "float" in str(FIELDS[name].type) else -1
        with pytest.raises(UserError, match=f"--{name} must be .*Received: {value}"):
            Config(**{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "--steps must be at least 1. Received: 0"),
        ({"crop_size": 0}, "--crop_size"),
        ({"seed": -1}, r"--seed must be in \[0, 2147483647\]"),
        ({"seed": 2**31}, r"--seed must be below 2\*\*31"),
        ({"batch_size": 10**500}, r"--batch_size must be below 2\*\*31"),
        ({"beta_1": 10**500}, r"--beta_1 must be in \[0, 1\)"),
        ({"gradient_penalty_weight": 10**500}, "_weight must be at least 0"),
        ({"dataset": "a\0b"}, "--dataset has characters that no name can have"),
        ({"classes": ("a", "\ud800")}, "--classes has characters"),
        ({"generator_learning_rate": -1e-4}, "--generator_learning_rate must be at l"),
        ({"beta_1": 2.0}, r"--beta_1 must be in \[0, 1\)"),
        ({"beta_2": 1.0}, r"--beta_2 must be in \[0, 1\)"),
        ({"adam_epsilon": -1.0}, "--adam_epsilon must be above 0"),
        ({"batch_norm_momentum": 5.0}, r"--batch_norm_momentum must be in \[0, 1\]"),
        ({"discriminator_slope": -0.1}, "--discriminator_slope"),
        ({"ema_decay": 1.0}, "--ema_decay"),
        ({"batch_size": 10, "accumulation_steps": 4}, "must be a multiple of"),
        ({"decay_start_step": 5}, "go together"),
        ({"decay_start_step": 5, "decay_end_step": 5}, "go together"),
        ({"precision": "float64"}, "mixed_float16. Received: float64"),
        ({"architecture": "vit"}, "must be one of dcgan, .*Received: vit"),
        ({"augmentation": ("color", "blur")}, "--augmentation must be one of.*blur"),
        ({"batch_size": "8"}, "--batch_size takes an integer. Received: '8'"),
        ({"batch_size": True}, "--batch_size takes an integer. Received: True"),
        ({"conditional": 1}, "--conditional takes true or false. Received: 1"),
        ({"loss": 3}, "--loss takes text. Received: 3"),
        ({"beta_1": "0"}, "--beta_1 takes a number. Received: '0'"),
        ({"classes": "cat"}, "--classes takes a list, each text. Received: 'cat'"),
        ({"classes": (1,)}, "--classes takes a list, each text"),
        ({"width": None}, "--width takes an integer. Received: None"),
    ],
)
def test_wrong_values_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Config(**settings)


def test_a_file_without_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match="no config file.*a preset: celeb_a,"):
        load_preset(tmp_path / "nowhere.py")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match="has no function get_config"):
        load_preset(tmp_path / "empty.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"batchsize": 3}', "It has settings that this version does not know: batch"),
        (b'{"batch_size": "3"}', "--batch_size takes an integer. Received: '3'"),
        (b'{"batch_size": NaN}', "--batch_size takes an integer"),
        (b'{"beta_1": NaN}', "--beta_1 must be in"),
        (b'{"classes": {"a": 1}}', "--classes takes a list"),
        (b'{"loss": "hinges"}', "--loss must be one of hinge"),
        (b"[1]", "It holds no settings"),
        (b"", "is damaged: "),
        (b'{"batch_size": 3', "is damaged: "),
        (b"\xff\xfe", "is damaged: it is no UTF-8 text"),
        (b"[" * 100_000, "is damaged: "),
        (b'{"steps": ' + b"1" * 5000 + b"}", "is damaged: "),
    ],
)
def test_a_damaged_config_is_named(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=f"config.json.*{re.escape(message)}"):
        load_config(tmp_path)


@pytest.mark.parametrize("path", ["evil.keras", "inception:evil", "/a/evil"])
def test_a_model_that_a_file_names_is_not_loaded(tmp_path, path):
    config = Config(evaluation_extractor=path, workdir=str(tmp_path))
    for _ in range(2):  # a run that is resumed writes its settings again
        (tmp_path / "config.json").write_text(config.to_json())
        assert f'"{path}"' in config.to_json()
        config = load_config(tmp_path)
        with pytest.raises(UserError, match=f"add --evaluation_extractor={path}"):
            check_trusted(config.evaluation_extractor)
        with pytest.raises(UserError, match="Models can execute code"):
            load_extractor(config.evaluation_extractor, config)
    for trusted in (*EXTRACTORS, path):
        check_trusted(trusted)


def test_metrics_of_version_0_1_have_new_names(tmp_path):
    (tmp_path / "config.json").write_text('{"evaluation_metric": "kid"}')
    assert load_config(tmp_path).evaluation_metric == "kernel"


def test_a_config_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UserError, match="config.json is not a file"):
        load_config(tmp_path)
