from sagan_tf.config import Config
from sagan_tf.training.summary import print_summary


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


def test_summary_counts_the_scores_that_exist_at_a_time(capsys, monkeypatch):
    monkeypatch.setattr("sagan_tf.layers.self_attention.is_cpu", lambda: True)
    for batch, scores in ((4, 27), (64, 75)):
        # 1024^2 of two images, and 256^2, 64^2 and 16^2 of all: * 4 B * 3.
        print_summary(Config(batch_size=batch, precision="mixed_bfloat16"))
        lines = map(" ".join, map(str.split, capsys.readouterr().out.splitlines()))
        assert f"attention maps of a step {scores} MiB" in lines
