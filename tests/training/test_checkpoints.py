import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints, find_steps

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


def test_every_nth_checkpoint_can_be_kept_for_good(model, tmp_path):
    checkpoints = Checkpoints(tmp_path, model, keep=1, keep_every=2)
    for step in range(1, 6):
        model.step.assign(step)
        checkpoints.save()
    assert find_steps(tmp_path / "checkpoints") == [2, 4, 5]


@pytest.mark.parametrize("content", [None, "", "garbage", 'model_checkpoint_path: "x"'])
def test_the_state_file_is_never_read(model, tmp_path, content):
    """Version 0.1 wrote one, and began anew over the run if it was damaged."""
    save(model, tmp_path, 1, 2)
    assert not (tmp_path / "checkpoints" / "checkpoint").exists()
    if content is not None:
        (tmp_path / "checkpoints" / "checkpoint").write_text(content)
    assert restore(tmp_path)[0] == 2


def test_checkpoints_of_version_0_1_are_read(model, tmp_path):
    """Saved by TensorFlow's manager, without metrics and with a save counter."""
    model.step.assign(7)
    checkpoint = Checkpoints(tmp_path, model)._without_metrics
    manager = tf.train.CheckpointManager(
        checkpoint, str(tmp_path / "checkpoints"), 3, checkpoint_name="step"
    )
    manager.save(checkpoint_number=7)
    assert restore(tmp_path)[0] == 7


def test_a_checkpoint_is_chosen_by_its_step(model, tmp_path):
    save(model, tmp_path, 1, 2, 3)
    model.step.assign(9)
    Checkpoints(tmp_path, model).save_best()
    for step in (1, 3, 9):
        other = build_sagan(Config(**SMALL))
        assert Checkpoints(tmp_path, other).restore(step=step) == step
        assert other.step == step
    assert Checkpoints(tmp_path, model).restore(step=4) is None


def test_the_means_since_the_last_row_of_the_log_come_back(model, tmp_path):
    model.generator_loss.update_state([1.0, 2.0])
    save(model, tmp_path, 1)
    _, other = restore(tmp_path)
    other.generator_loss.update_state(6.0)
    assert other.generator_loss.result() == 3.0


def test_an_index_gets_its_name_last(model, tmp_path, monkeypatch):
    save(model, tmp_path, 1)
    replaced, replace = [], os.replace

    def fail_after_one(source, target):
        if replaced:
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_after_one)
    with pytest.raises(UserError, match="step-2 cannot be written: No space left on"):
        save(model, tmp_path, 2)
    assert replaced == ["step-2.data-00000-of-00001"]
    monkeypatch.undo()
    assert restore(tmp_path)[0] == 1
    Checkpoints(tmp_path, model).delete_leftovers()
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-1.index", "step-1.data-00000-of-00001"}


def test_leftovers_of_killed_writes_are_deleted(model, tmp_path):
    save(model, tmp_path, 1)
    Checkpoints(tmp_path, model).save_best()
    folder = tmp_path / "checkpoints"
    kept = sorted(folder.rglob("*"))
    for place in (folder, folder / "best"):
        (place / "step-2.data-00000-of-00001").touch()
        for name in ("step-2_temp", ".partial-4194305-step-2"):
            (place / name).mkdir()
            (place / name / "part").touch()
        (place / "step-2.index.tempstate123").touch()
    Checkpoints(tmp_path, model).delete_leftovers()
    assert sorted(folder.rglob("*")) == kept


def test_a_run_with_its_best_checkpoint_alone_resumes_from_it(model, tmp_path):
    model.step.assign(6)
    Checkpoints(tmp_path, model).save_best()
    assert restore(tmp_path)[0] == 6


def test_checkpoints_without_index_are_refused(model, tmp_path):
    save(model, tmp_path, 1, 2)
    for path in (tmp_path / "checkpoints").glob("*.index"):
        path.unlink()
    before = sorted((tmp_path / "checkpoints").iterdir())
    with pytest.raises(UserError, match="have lost their index files: .* step-1.data"):
        restore(tmp_path)
    assert sorted((tmp_path / "checkpoints").iterdir()) == before


def test_a_damaged_later_checkpoint_costs_no_good_one(model, tmp_path):
    save(model, tmp_path, 1, 9)
    (tmp_path / "checkpoints" / "step-9.data-00000-of-00001").unlink()
    other = build_sagan(Config(**SMALL))
    checkpoints = Checkpoints(tmp_path, other, keep=1)
    assert checkpoints.restore() == 1
    other.step.assign(2)
    checkpoints.save()
    assert restore(tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("part", "keep"),
    [
        *(("index", keep) for keep in (0, 50)),
        *(("data-00000-of-00001", keep) for keep in (None, 0, 50)),
    ],
)
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
