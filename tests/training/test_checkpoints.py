import shutil

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints

SMALL = {"image_size": 32, "channels": 1, "width": 8}


@pytest.fixture
def model():
    return build_sagan(Config(**SMALL))


def save(model, workdir, *steps):
    checkpoints = Checkpoints(workdir, model)
    for step in steps:
        model.step.assign(step)
        model.generator.variables[0].assign(
            np.full(model.generator.variables[0].shape, step)
        )
        checkpoints.save()


def restore(workdir, **settings):
    model = build_sagan(Config(**{**SMALL, "seed": 1, **settings}))
    return Checkpoints(workdir, model).restore(), model


def test_every_variable_comes_back(model, tmp_path):
    for i, variable in enumerate(
        [
            *model.variables,
            *model.generator_optimizer.variables,
            *model.discriminator_optimizer.variables,
        ]
    ):
        variable.assign(tf.fill(variable.shape, tf.cast(i + 1, variable.dtype)))
    save(model, tmp_path, 5)
    step, other = restore(tmp_path)
    assert step == 5
    for owner in (
        "generator",
        "discriminator",
        "ema_generator",
        "generator_optimizer",
        "discriminator_optimizer",
    ):
        pairs = zip(
            getattr(model, owner).variables,
            getattr(other, owner).variables,
            strict=True,
        )
        for expected, actual in pairs:
            np.testing.assert_array_equal(actual, expected, err_msg=expected.path)


def test_nothing_there_is_step_0(tmp_path):
    assert restore(tmp_path)[0] == 0


def test_the_last_three_are_kept(model, tmp_path):
    save(model, tmp_path, 1, 2, 3, 4)
    names = {path.stem for path in (tmp_path / "checkpoints").glob("*.index")}
    assert names == {"step-2", "step-3", "step-4"}


def test_a_half_written_checkpoint_is_never_the_last(model, tmp_path):
    save(model, tmp_path, 1)
    folder = tmp_path / "checkpoints"
    # As a kill while step 2 is written leaves it: data, but not yet named.
    shutil.copy(folder / "step-1.index", folder / "step-2.index")
    (folder / "step-2.data-00000-of-00001").write_bytes(b"half")
    assert restore(tmp_path)[0] == 1


def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(model, tmp_path):
    save(model, tmp_path, 1)
    data = tmp_path / "checkpoints" / "step-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="step-1 cannot be read"):
        restore(tmp_path)


def test_a_checkpoint_of_another_model_is_refused(model, tmp_path):
    save(model, tmp_path, 1)
    with pytest.raises(UserError, match="of another model"):
        restore(tmp_path, width=16)
