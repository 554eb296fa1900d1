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
