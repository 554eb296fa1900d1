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


def test_without_checkpoints_there_is_no_step(tmp_path):
    assert restore(tmp_path)[0] is None


def test_the_last_three_are_kept(model, tmp_path):
    save(model, tmp_path, 1, 2, 3, 4)
    names = {path.stem for path in (tmp_path / "checkpoints").glob("*.index")}
    assert names == {"step-2", "step-3", "step-4"}


def test_a_half_written_checkpoint_is_never_the_last(model, tmp_path):
    save(model, tmp_path, 1)
    folder = tmp_path / "checkpoints"
    # What a kill while writing step 2 leaves: data that no state file names.
    shutil.copy(folder / "step-1.index", folder / "step-2.index")
    (folder / "step-2.data-00000-of-00001").write_bytes(b"half")
    assert restore(tmp_path)[0] == 1


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("keep", [None, 0, 50])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    model, tmp_path, part, keep, caplog
):
    save(model, tmp_path, 1, 2)

    def damage(step):
        file = tmp_path / "checkpoints" / f"step-{step}.{part}"
        if keep is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:keep])

    damage(2)
    step, other = restore(tmp_path)
    assert step == 1
    assert (other.generator.variables[0].numpy() == 1).all()
    assert "step-2 cannot be read" in caplog.text
    damage(1)
    with pytest.raises(UserError, match="None of the checkpoints in"):
        restore(tmp_path)


def test_the_last_checkpoint_is_not_written_twice(model, tmp_path):
    def times():
        folder = tmp_path / "checkpoints"
        return {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    checkpoints = Checkpoints(tmp_path, model)
    model.step.assign(3)
    checkpoints.save()
    before = times()
    checkpoints.save()
    assert times() == before
    restored = Checkpoints(tmp_path, model)
    restored.restore()
    restored.save()
    assert times() == before


def test_weights_that_are_not_finite_are_not_saved(model, tmp_path):
    save(model, tmp_path, 1)
    model.step.assign(2)
    model.discriminator.to_logit.bias.assign([np.nan])
    with pytest.raises(UserError, match="to_logit/bias is no longer finite at step 2"):
        Checkpoints(tmp_path, model).save()
    assert restore(tmp_path)[0] == 1


def test_a_checkpoint_of_another_model_is_refused(model, tmp_path):
    save(model, tmp_path, 1)
    with pytest.raises(UserError, match="by this model"):
        restore(tmp_path, width=16)
