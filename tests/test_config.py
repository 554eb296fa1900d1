import dataclasses
from pathlib import Path

import pytest
from absl import flags
from sagan_tf.layers.residual_blocks import ReflectionConv2D

from sagan_tf.config import (
    Config,
    config_from_flags,
    define_flags,
    load_config,
    load_preset,
)
from sagan_tf.data import with_classes
from sagan_tf.errors import UserError
from sagan_tf.layers import (
    ConditionalBatchNormalization,
    SelfAttention,
    SpectralNormalization,
)
from sagan_tf.losses import LOSSES
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


def test_the_data_are_found_from_other_folders_too(resolve, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/user")
    for given, kept in (
        ("pictures", str(tmp_path / "pictures")),
        ("~/pictures", "/home/user/pictures"),
        ("gs://bucket/data", "gs://bucket/data"),
    ):
        assert resolve("--dataset=small", f"--data_dir={given}").data_dir == kept


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


def test_every_setting_reaches_the_networks_and_their_training():
    """Each away from its default, and found again where it acts."""
    model = build_sagan(
        Config(
            image_size=32,
            channels=1,
            architecture="resnet",
            conditional=True,
            classes=("cat", "dog", "owl"),
            width=2,
            discriminator_width=16,
            latent_dim=7,
            latent_distribution="uniform",
            generator_attention_resolutions=(8,),
            discriminator_attention_resolutions=(16,),
            spectral_norm_epsilon=1e-3,
            attention="full",
            initializer="normal",
            reflection_padding=True,
            discriminator_slope=0.3,
            normalize_to_image=False,
            batch_norm_momentum=0.7,
            last_batch_norm_momentum=0.6,
            batch_norm_epsilon=1e-2,
            synchronized_batch_norm=True,
            conditional_spectral_normalization=True,
            augmentation=("cutout",),
            batch_size=6,
            accumulation_steps=3,
            loss="lsgan",
            discriminator_steps=2,
            gradient_penalty="dragan",
            gradient_penalty_weight=5.0,
            gradient_penalty_interval=4,
            penalty_with_spectral_normalization=True,
            generator_learning_rate=0.1,
            discriminator_learning_rate=0.2,
            beta_1=0.3,
            beta_2=0.4,
            adam_epsilon=0.5,
            ema_decay=0.6,
            ema_start_step=7,
            seed=8,
        )
    )
    generator, discriminator = model.generator, model.discriminator
    for network in (generator, discriminator):
        assert (network.num_classes, network.image_size) == (3, 32)
        assert network.attention == "full" and network.initializer == "normal"
        layers = list(network._flatten_layers())
        for layer in layers:
            if isinstance(layer, SpectralNormalization):
                assert layer.epsilon == 1e-3, layer.path
            if isinstance(layer, SelfAttention):
                assert layer.pool_size == 1
        assert any(isinstance(layer, ReflectionConv2D) for layer in layers)
    assert (generator.latent_dim, generator.width, discriminator.width) == (7, 2, 16)
    assert generator.attention_resolutions == (8,)
    assert discriminator.attention_resolutions == (16,)
    assert discriminator.negative_slope == 0.3
    assert not isinstance(generator.to_image, SpectralNormalization)
    conditional = [
        layer
        for layer in generator._flatten_layers()
        if isinstance(layer, ConditionalBatchNormalization)
    ]
    assert len(conditional) == 6
    for layer in conditional:
        assert layer.spectral_normalization and layer.synchronized
        assert (layer.momentum, layer.epsilon) == (0.7, 1e-2)
    last = generator.get_layer("last_normalization")
    assert (last.momentum, last.epsilon, last.synchronized) == (0.6, 1e-2, True)
    for optimizer, rate in (
        (model.generator_optimizer, 0.1),
        (model.discriminator_optimizer, 0.2),
    ):
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        adam = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon
        assert adam == (0.3, 0.4, 0.5)
    assert model.adversarial_loss == LOSSES["lsgan"]
    assert (model.latent_distribution, model.seed) == ("uniform", 8)
    assert (model.discriminator_steps, model.accumulation_steps) == (2, 3)
    assert (model.ema_decay, model.ema_start_step) == (0.6, 7)
    assert model.gradient_penalty == "dragan" and model.augmentation == ("cutout",)
    assert (model.gradient_penalty_weight, model.gradient_penalty_interval) == (5, 4)


RECIPE = {  # shared by all on ImageNet
    "batch_size": 256,
    "steps": 1_000_000,
    "loss": "hinge",
    "discriminator_steps": 1,
    "generator_learning_rate": 1e-4,
    "discriminator_learning_rate": 4e-4,
    "beta_1": 0.0,
    "image_size": 128,
    "latent_dim": 128,
    "latent_distribution": "normal",
    "attention": "pooled",
    "initializer": "xavier",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "imagenet128",
            RECIPE
            | {
                "generator_attention_resolutions": (64,),
                "discriminator_attention_resolutions": (64,),
                "beta_2": 0.999,
                "spectral_norm_epsilon": 1e-8,
                "conditional_spectral_normalization": False,
                "batch_norm_epsilon": 1e-5,
                "synchronized_batch_norm": False,
                "horizontal_flip": False,
                "ema_decay": 0.999,
                "ema_start_step": 2000,
            },
        ),
        (
            "imagenet128_paper",
            RECIPE
            | {
                "generator_attention_resolutions": (64,),
                "discriminator_attention_resolutions": (64,),
                "beta_2": 0.9,
                "ema_decay": 0.0,
            },
        ),
        (
            "imagenet128_official",
            RECIPE
            | {
                "generator_attention_resolutions": (32,),
                "discriminator_attention_resolutions": (32,),
                "beta_2": 0.999,
                "spectral_norm_epsilon": 1e-12,
                "batch_norm_momentum": 0.999,
                "last_batch_norm_momentum": 0.9999,
                "batch_norm_epsilon": 1e-5,
                "ema_decay": 0.0,
            },
        ),
        (
            "imagenet128_studiogan",
            RECIPE
            | {
                "generator_attention_resolutions": (64,),
                "discriminator_attention_resolutions": (64,),
                "beta_2": 0.999,
                "spectral_norm_epsilon": 1e-6,
                "conditional_spectral_normalization": True,
                "batch_norm_epsilon": 1e-4,
                "synchronized_batch_norm": True,
                "horizontal_flip": True,
                "ema_decay": 0.0,
                "initializer": "orthogonal",
            },
        ),
        (
            "cifar10",
            {
                "image_size": 32,
                "batch_size": 64,
                "steps": 100_000,
                "loss": "hinge",
                "discriminator_steps": 5,
                "generator_learning_rate": 2e-4,
                "discriminator_learning_rate": 2e-4,
                "beta_1": 0.5,
                "beta_2": 0.999,
            },
        ),
        (
            "celeb_a",
            {
                "image_size": 64,
                "crop_size": 160,
                "batch_size": 64,
                "steps": 1_000_000,
                "loss": "hinge",
                "generator_learning_rate": 1e-4,
                "discriminator_learning_rate": 4e-4,
                "beta_1": 0.0,
                "beta_2": 0.9,
                "latent_dim": 128,
                "generator_attention_resolutions": (16, 32),
                "discriminator_attention_resolutions": (8, 4),
            },
        ),
        (
            "celeb_a_resnet",
            {
                "image_size": 128,
                "conditional": False,
                "latent_distribution": "uniform",
                "reflection_padding": True,
                "discriminator_slope": 0.2,
                "normalize_to_image": False,
                "attention": "pooled",
                "initializer": "xavier",
            },
        ),
    ],
)
def test_presets_have_the_numbers_of_their_sources(name, expected):
    config = load_preset(PRESETS / f"{name}.py")
    assert {key: getattr(config, key) for key in expected} == expected


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
        (
            {"conditional": True, "classes": ("a", "b")},
            "no `conditional`, only --architecture=resnet has",
        ),
        (
            {"discriminator_attention_resolutions": (5,)},
            "Received: --discriminator_attention_resolutions=",
        ),
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
