import dataclasses

import pytest

from sagan_tf import load_run
from sagan_tf.config import Config, save_config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints

CONFIG = Config(image_size=32, channels=1, width=8)


def test_the_last_checkpoint_is_taken_or_the_best(tmp_path):
    config = dataclasses.replace(CONFIG, workdir=str(tmp_path))
    with pytest.raises(UserError, match="There is no run in"):
        load_run(tmp_path)
    save_config(config)
    with pytest.raises(UserError, match="no checkpoint yet"):
        load_run(tmp_path)
    model = build_sagan(config)
    checkpoints = Checkpoints(tmp_path, model)
    for step, save in ((2, checkpoints.save_best), (5, checkpoints.save)):
        model.step.assign(step)
        save()
    assert load_run(tmp_path).step == 5
    assert load_run(tmp_path, best=True).step == 2


def test_no_best_checkpoint_is_a_clear_line(tmp_path):
    config = dataclasses.replace(CONFIG, workdir=str(tmp_path))
    save_config(config)
    Checkpoints(tmp_path, build_sagan(config)).save()
    with pytest.raises(UserError, match="was not trained with --evaluation_interval"):
        load_run(tmp_path, best=True)
