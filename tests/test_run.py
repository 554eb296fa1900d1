import dataclasses

import numpy as np
import pytest

from sagan_tf import Run, load_run
from sagan_tf.config import Config, save_config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints

CONFIG = Config(image_size=32, channels=1, width=8)


def test_the_last_checkpoint_is_loaded_or_the_best(tmp_path):
    config = dataclasses.replace(CONFIG, workdir=str(tmp_path))
    with pytest.raises(UserError, match="There is no run in"):
        load_run(tmp_path)
    save_config(config)
    with pytest.raises(UserError, match="no checkpoint yet"):
        load_run(tmp_path)
    model = build_sagan(config)
    checkpoints = Checkpoints(tmp_path, model)
    model.step.assign(5)
    checkpoints.save()
    with pytest.raises(UserError, match="was not trained with --evaluation_interval"):
        load_run(tmp_path, best=True)
    model.step.assign(2)
    checkpoints.save_best()
    assert load_run(tmp_path).step == 5
    assert load_run(tmp_path, best=True).step == 2


def test_class_numbers(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        workdir=str(tmp_path),
        architecture="resnet",
        conditional=True,
        classes=("cats", "dogs", "7"),
        discriminator_attention_resolutions=(8,),
    )
    run = Run(config, build_sagan(config))
    assert run.class_numbers(["dogs", "0"]).tolist() == [1, 0]
    assert run.class_numbers([1, 0]).tolist() == [1, 0]
    assert run.class_numbers("dogs").tolist() == [1]
    assert run.class_numbers(["7"]).tolist() == [2]  # a name comes before a number
    assert run.class_numbers(np.array([2, 1])).tolist() == [2, 1]
    numbered = dataclasses.replace(config, classes=("1", "2", "0"))
    run.config = numbered
    assert run.class_numbers([1, 0]).tolist() == [1, 0]
    assert run.class_numbers(["1", "0"]).tolist() == [0, 2]
    run.config = config
    assert run.class_numbers(None) is None
    for labels, message in (
        (["cat"], "no class 'cat'. It has 0 to 2: cats, dogs, 7. Did you mean cats"),
        (["3"], "no class '3'. It has 0 to 2: cats, dogs, 7$"),
        (["-1"], "no class '-1'"),
        ([], "--labels is empty"),
    ):
        with pytest.raises(UserError, match=message):
            run.class_numbers(labels)
