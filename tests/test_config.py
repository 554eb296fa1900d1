import dataclasses
from pathlib import Path

import pytest
from absl import flags

from sagan_tf.config import (
    Config,
    config_from_flags,
    define_flags,
    load_config,
    load_preset,
)
from sagan_tf.data import with_classes
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan

PRESETS = Path(__file__).parents[1] / "configs"

PRESET = """
from sagan_tf.config import Config

def get_config():
    return Config(dataset="cifar10", image_size=32, batch_size=16)
"""


@pytest.fixture
def resolve(tmp_path, monkeypatch):
    """Resolves arguments as `train.py` does, with one preset called `small`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(PRESET)
    (tmp_path / "digits.py").write_text(PRESET)

    def call(*arguments):
        given = flags.FlagValues()
        define_flags(given)
        given(["train.py", *arguments])
        return config_from_flags(tmp_path, given)

    return call


def test_goes_through_json_unchanged(tmp_path):
    config = Config(
        dataset="x/y",
        generator_attention_resolutions=[4, 8],
        discriminator_attention_resolutions=[],
        crop_size=None,
        workdir=str(tmp_path),
    )
    (tmp_path / "config.json").write_text(config.to_json())
    assert load_config(tmp_path) == config


def test_a_flag_goes_over_the_preset(resolve):
    config = resolve("--dataset=small", "--batch_size=8", "--nojit_compile")
    assert config == dataclasses.replace(
        Config(dataset="cifar10", image_size=32), batch_size=8, workdir="runs/small"
    )


def test_every_field_is_a_flag(resolve):
    values = {
        "dataset": "small",
        "decay_end_step": "8",
        "accumulation_steps": "7",
        "data_dir": "d",
        "workdir": "w",
        "split": "test",
        "spectral_norm_axis": "input",
        "architecture": "infogan",
        "latent_distribution": "uniform",
        "attention": "full",
        "initializer": "normal",
        "gradient_penalty": "r1",
        "classes": "cat,dog",
        "augmentation": "color",
        "loss": "wgan",
        "evaluation_metric": "kid",
        "evaluation_extractor": "inception",
        "precision": "mixed_bfloat16",
        "generator_attention_resolutions": "8,16",
        "discriminator_attention_resolutions": "",
    }
    for field in dataclasses.fields(Config):
        if field.type is bool:
            values[field.name] = str(not field.default)
        elif field.type in (int, int | None):
            values.setdefault(field.name, "7")
        elif field.type in (float, float | None):
            values[field.name] = "0.25"
    config = resolve(*(f"--{name}={value}" for name, value in values.items()))
    for field in dataclasses.fields(Config):
        assert getattr(config, field.name) != field.default, field.name
    assert config.generator_attention_resolutions == (8, 16)
    assert config.discriminator_attention_resolutions == ()
    assert (config.batch_size, config.beta_1) == (7, 0.25)


def test_the_workdir_alone_gives_the_runs_own_settings(resolve, tmp_path):
    config = Config(batch_size=9, workdir=str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(config.to_json())
    resolved = resolve(f"--workdir={tmp_path / 'run'}", "--steps=5")
    assert resolved == dataclasses.replace(config, steps=5)


def test_a_tfds_name_needs_no_preset(resolve):
    config = resolve("--dataset=lsun/bedroom")
    assert (config.dataset, config.workdir) == ("lsun/bedroom", "runs/lsun_bedroom")


def test_differences_leave_out_what_may_change():
    config = Config()
    assert config.differences(dataclasses.replace(config, steps=3, workdir="w")) == []
    other = dataclasses.replace(config, batch_size=3, loss="wgan")
    assert config.differences(other) == [
        "batch_size: 64 -> 3",
        "loss: hinge -> wgan",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "--steps must be at least 1. Received: 0"),
        ({"crop_size": 0}, "--crop_size"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"batch_size": 10, "accumulation_steps": 4}, "cut into"),
        ({"decay_start_step": 5}, "go together"),
        ({"decay_start_step": 5, "decay_end_step": 5}, "go together"),
        ({"precision": "float64"}, "mixed_bfloat16. Received: float64"),
    ],
)
def test_refuses_bad_values(settings, message):
    with pytest.raises(UserError, match=message):
        Config(**settings)


def test_a_file_without_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match="no config file"):
        load_preset(tmp_path / "nowhere.py")
    (tmp_path / "config.json").write_text('{"batchsize": 3}')
    with pytest.raises(UserError, match="does not know: batchsize"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "vit"}, "architecture=vit"),
        ({"architecture": "infogan", "image_size": 28}, "--nogenerator_spectral"),
        ({"width": 4}, "needs at least that many channels"),
        ({"latent_distribution": "cauchy"}, "latent_distribution=cauchy"),
    ],
)
def test_networks_that_cannot_be_built_are_a_users_error(settings, message):
    with pytest.raises(UserError, match=message):
        build_sagan(Config(**settings))


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.py")), ids=lambda p: p.stem)
def test_every_preset_builds_its_networks(path):
    config = load_preset(path)
    assert config.dataset[:4] == path.stem[:4]
    assert config.workdir == f"runs/{config.dataset.replace('/', '_')}"
    if config.dataset == "folder":
        config = dataclasses.replace(
            config, classes=("cat", "dog")[: 2 * config.conditional]
        )
    config = with_classes(config, download=False)
    assert config.conditional == bool(config.num_classes)
    build_sagan(config)


def test_a_gradient_penalty_with_spectral_normalization_is_asked_for_by_name():
    with pytest.raises(UserError, match="--penalty_with_spectral_normalization"):
        build_sagan(Config(gradient_penalty="gp"))
    for settings in (
        {"penalty_with_spectral_normalization": True},
        {"discriminator_spectral_normalization": False},
    ):
        build_sagan(Config(gradient_penalty="gp", width=8, **settings))


def test_rates_fall_linearly():
    config = Config(
        width=8, discriminator_steps=2, decay_start_step=100, decay_end_step=300
    )
    model = build_sagan(config)
    for optimizer, rate, updates in (
        (model.generator_optimizer, 1e-4, 1),
        (model.discriminator_optimizer, 4e-4, 2),
    ):
        for step, expected in ((0, 1), (100, 1), (200, 0.5), (300, 0), (400, 0)):
            optimizer.iterations.assign(step * updates)
            assert float(optimizer.learning_rate) == pytest.approx(rate * expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "full"}, "The dcgan networks have no `attention`"),
        ({"conditional": True, "classes": ("a", "b")}, "no `conditional`"),
        ({"architecture": "resnet", "conditional": True}, "two classes or more"),
        (
            {"architecture": "resnet", "spectral_norm_axis": "input"},
            "no `spectral_norm",
        ),
    ],
)
def test_settings_that_the_networks_do_not_have_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        build_sagan(Config(**settings))
