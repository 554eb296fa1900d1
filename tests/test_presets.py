"""Every preset: its numbers, and a short run of it at reduced width and batch."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import load_preset, load_run, train
from sagan_tf.config import preset_names
from sagan_tf.data import with_classes
from sagan_tf.models.builders import build_sagan

RECIPE = {  # of all ImageNet presets
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
    config = load_preset(name)
    assert {key: getattr(config, key) for key in expected} == expected


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_its_networks(name):
    config = load_preset(name)
    assert config.dataset[:4] == name[:4] or name == "faces64"  # of celeb_a
    assert config.workdir == f"runs/{config.dataset.replace('/', '_')}"
    if config.dataset == "folder":
        config = dataclasses.replace(
            config, classes=("cat", "dog")[: 2 * config.conditional]
        )
    config = with_classes(config, download=False)
    assert config.conditional == bool(config.num_classes)
    small = dataclasses.replace(config, width=8, discriminator_width=None)
    # Files of networks and --init_from know variables by these names.
    names = [
        [variable.path.partition("/")[2] for variable in build_sagan(small).variables]
        for _ in range(2)
    ]
    assert names[0] == names[1]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of small pictures, two of each class."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir()
        for number in range(2):
            pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


# Each time one preset of each architecture is run: digits and mnist_conditional in
# test_train and test_commands, and these, of which the second is slow.
FAST, SLOW = "mnist_infogan", "cifar10"


def marks_of(name):
    if name == FAST:
        return ()
    return pytest.mark.slow if name == SLOW else pytest.mark.exhaustive


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=marks_of(name)) for name in preset_names()],
)
def test_every_preset_trains_resumes_samples_and_exports(
    name, pictures, tmp_path, monkeypatch
):
    preset = load_preset(name)
    config = dataclasses.replace(
        preset,
        dataset="folder",
        data_dir=str(pictures),
        workdir=str(tmp_path),
        crop_size=None,
        classes=(),
        width=8,
        discriminator_width=None,
        batch_size=4,
        accumulation_steps=1,
        # Tracing each one takes long.
        discriminator_steps=min(preset.discriminator_steps, 2),
        steps=2,
        num_samples=4,
        log_interval=1,
        sample_interval=1,
        checkpoint_interval=1,
    )
    with monkeypatch.context() as patch:  # one export is enough
        patch.setattr(
            "sagan_tf.training.train.export_saved_model", lambda *_, **__: None
        )
        train(config)
    run = train(dataclasses.replace(config, steps=3))
    assert run.step == 3
    size = preset.image_size
    images = run.generate(3)
    assert images.shape == (3, size, size, preset.channels)
    np.testing.assert_array_equal(load_run(tmp_path).generate(3), images)
    model = tf.saved_model.load(str(tmp_path / "export" / "saved_model"))
    arguments = {"label": tf.constant(-1)} if preset.conditional else {}
    served = model.signatures["sample"](
        num_images=tf.constant(3),
        seed=tf.constant(0),
        truncation=tf.constant(1.0),
        **arguments,
    )["images"]
    assert np.abs(served.numpy().astype(int) - images).max() <= 1
    rows = (tmp_path / "logs" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3"]
