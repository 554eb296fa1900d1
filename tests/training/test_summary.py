from types import SimpleNamespace

import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.distribution import make_distribution
from sagan_tf.training.summary import print_start, print_summary
from tests.training.settings import SMALL


def test_summary(capsys, tmp_path):
    workdir = tmp_path / "run"
    print_summary(Config(batch_size=4, discriminator_steps=2, workdir=str(workdir)))
    text = capsys.readouterr().out
    assert '"batch_size": 4' in text
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert "attention_32x32 5,201" in lines
    assert "total 3,832,885" in lines and "total 3,175,299" in lines
    assert "Real images per step: [8, 64, 64, 3]" in text
    # Scores in float32: (256^2 + 1024^2 + 64^2 + 16^2) * 4 images * 4 B * 3.
    assert "attention maps of a step 51 MiB" in lines
    assert not workdir.exists()


def test_the_data_are_counted_before_anything_is_printed(capsys, tmp_path):
    print_summary(Config(**SMALL))
    assert "Data: 1,797 pictures of digits\n" in capsys.readouterr().out
    print_summary(Config(**SMALL | {"dataset": "mnist", "data_dir": str(tmp_path)}))
    assert "Data: mnist train, which training downloads\n" in capsys.readouterr().out
    with pytest.raises(UserError, match="no images"):
        print_summary(
            Config(**SMALL | {"dataset": "folder", "data_dir": str(tmp_path)})
        )
    assert not capsys.readouterr().out


def test_summary_counts_the_scores_that_exist_at_a_time(capsys, monkeypatch):
    monkeypatch.setattr("sagan_tf.layers.self_attention.is_cpu", lambda: True)
    for batch, scores in ((4, 27), (64, 75)):
        # 1024^2 of two images, and 256^2, 64^2 and 16^2 of all: * 4 B * 3.
        print_summary(Config(batch_size=batch, precision="mixed_bfloat16"))
        lines = map(" ".join, map(str.split, capsys.readouterr().out.splitlines()))
        assert f"attention maps of a step {scores} MiB" in lines


def test_the_start_says_what_is_trained_and_on_what(capsys):
    config = Config(
        **SMALL,
        discriminator_spectral_normalization=False,
        gradient_penalty="r1",
        loss="lsgan",
        discriminator_learning_rate=0.002,
        seed=7,
        crop_size=160,
    )
    data = SimpleNamespace(summary=lambda: "9 images", path="")
    print_start(build_sagan(config), config, make_distribution("none"), data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Data:       9 images, crop of 160 px"
    assert "Batch:      64 images" in lines
    assert (
        "Training:   lsgan loss and r1, learning rates 0.0001 (G) and 0.002 (D), seed 7"
        in lines
    )
