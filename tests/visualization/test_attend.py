"""The attention maps of a whole run: each image must get its own."""

import dataclasses
import logging

import keras
import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.data import load_images
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.run import Run
from sagan_tf.visualization import attend

CONFIG = Config(
    dataset="digits",
    image_size=32,
    channels=1,
    architecture="resnet",
    conditional=True,
    classes=tuple("0123456789"),
    width=4,
    generator_attention_resolutions=(8,),
    discriminator_attention_resolutions=(8,),
)
LABELS = np.array([3, 7, 0])


@pytest.fixture(scope="module")
def run():
    keras.utils.set_random_seed(0)
    model = build_sagan(CONFIG)
    # Untrained gains and shifts are those of every class.
    random = np.random.default_rng(0)
    for variable in model.ema_generator.trainable_variables:
        if tuple(variable.shape)[:1] == (CONFIG.num_classes,):
            variable.assign_add(random.normal(size=variable.shape))
    return Run(CONFIG, model)


@pytest.fixture
def written(monkeypatch):
    """The sets of images that the page gets."""
    sets = []
    monkeypatch.setattr(
        attend, "write_attention_page", lambda path, title, shown: sets.extend(shown)
    )
    return sets


def test_each_image_has_its_own_maps(run, written, tmp_path):
    effects, folder = attend.write_attention(run, tmp_path, 3, 3, 4, LABELS)
    assert folder == tmp_path
    (images, captions, layers), (real_images, real_captions, real_layers) = written

    np.testing.assert_array_equal(images, run.generate(3, seed=4, labels=LABELS))
    assert captions == ["Generated 1, 3", "Generated 2, 7", "Generated 3, 0"]
    latents = run.sampler.latents(3, 4)
    _, expected = run.generator(latents, LABELS, return_attention_scores=True)
    assert_same_maps(layers[0], "Generator 8×8", expected)
    _, expected = run.discriminator(scale(images), LABELS, return_attention_scores=True)
    assert_same_maps(layers[1], "Discriminator 8×8", expected)
    assert effects == {name: maps.effect.mean() for name, maps in layers}

    real, labels = load_images(CONFIG, 3)
    np.testing.assert_array_equal(real_images, real)
    assert real_captions == [f"Real {i + 1}, {label}" for i, label in enumerate(labels)]
    _, expected = run.discriminator(scale(real), labels, return_attention_scores=True)
    assert_same_maps(real_layers[0], "Discriminator 8×8", expected)
    assert {path.name for path in tmp_path.iterdir()} == {
        "generator_8x8.png",
        "discriminator_8x8.png",
        "discriminator_8x8_real.png",
    }


def test_missing_real_images_are_a_warning(run, written, tmp_path, caplog, monkeypatch):
    config = dataclasses.replace(CONFIG, dataset="folder", data_dir=str(tmp_path / "x"))
    monkeypatch.setattr(run, "config", config)
    with caplog.at_level(logging.WARNING):
        attend.write_attention(run, tmp_path, 1, 1)
    assert len(written) == 1 and "Real images are left out" in caplog.text
    caplog.clear()
    attend.write_attention(run, tmp_path, 1, num_real=0)
    assert not caplog.text


def test_points_outside_and_networks_without_attention_are_errors(run, tmp_path):
    for point in ((32, 0), (0, 32), (-1, 0)):
        with pytest.raises(UserError, match="is outside the image: .* 0 to 31"):
            attend.write_attention(run, tmp_path, points=[(0, 31), point])
    config = dataclasses.replace(
        CONFIG,
        generator_attention_resolutions=(),
        discriminator_attention_resolutions=(),
    )
    with pytest.raises(UserError, match="have no attention. Train with --generator_a"):
        attend.write_attention(Run(config, build_sagan(config)), tmp_path, 1, 0)


def assert_same_maps(layer, name, expected):
    assert layer[0] == name
    (scores,) = expected.values()
    # The maps of different images differ by more than the tolerance.
    assert np.abs(np.diff(scores, axis=0)).max() > 1e-3
    np.testing.assert_allclose(layer[1].scores, scores, atol=1e-5)
