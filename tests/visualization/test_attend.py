"""The maps of a whole run: whose they are, and of which images."""

from types import SimpleNamespace

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.data.preprocessing import scale
from sagan_tf.models.builders import build_sagan
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
LABELS = [3, 7, 0]


@pytest.fixture
def run():
    model = build_sagan(CONFIG)
    return SimpleNamespace(
        config=CONFIG,
        step=5,
        model=model,
        generator=model.ema_generator,
        discriminator=model.discriminator,
    )


def test_each_image_has_its_own_maps(run, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        attend, "write_attention_page", lambda path, title, sets: written.extend(sets)
    )
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (3, 32, 32, 1), np.uint8), np.array([1, 2, 9])
    attend.write_attention(run, tmp_path, 3, seed=4, labels=LABELS, real=real)
    (images, captions, blocks), (real_images, real_captions, real_blocks) = written

    np.testing.assert_array_equal(images, run.model.generate(3, seed=4, labels=LABELS))
    assert captions == ["Generated 1, 3", "Generated 2, 7", "Generated 3, 0"]
    latents = run.model.sample_latents(3, 4)
    _, expected = run.generator(latents, np.array(LABELS), return_attention_scores=True)
    assert_same_maps(blocks[0], "Generator 8×8", expected)
    _, expected = run.discriminator(
        scale(images), np.array(LABELS), return_attention_scores=True
    )
    assert_same_maps(blocks[1], "Discriminator 8×8", expected)

    np.testing.assert_array_equal(real_images, real[0])
    assert real_captions == ["Real 1, 1", "Real 2, 2", "Real 3, 9"]
    _, expected = run.discriminator(
        scale(real[0]), real[1], return_attention_scores=True
    )
    assert_same_maps(real_blocks[0], "Discriminator 8×8", expected)


def assert_same_maps(block, name, expected):
    assert block[0] == name
    (scores,) = expected.values()
    # Images differ by more than that.
    assert np.abs(np.diff(scores, axis=0)).max() > 1e-3
    np.testing.assert_allclose(block[1].scores, scores, atol=1e-5)
