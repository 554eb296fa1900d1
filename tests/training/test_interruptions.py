"""Runs that are killed or stopped at random moments, again and again."""

import random
import signal
import subprocess

import pytest

from sagan_tf.training.checkpoints import find_checkpoints
from tests.comparison import assert_same_checkpoint, read_log
from tests.processes import call, start

RUN = (
    *("train.py", "--width=8", "--batch_size=8", "--steps=200", "--num_samples=4"),
    *("--log_interval=7", "--sample_interval=30", "--checkpoint_interval=25"),
    *("--evaluation_interval=40", "--evaluation_images=60"),
)
LONGEST = 16  # seconds until a process is interrupted at the latest


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {"SAGAN_TF_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, environment):
    workdir = tmp_path_factory.mktemp("undisturbed")
    code, _, stderr = call(*RUN, f"--workdir={workdir}", env=environment)
    assert code == 0, stderr
    return workdir


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    name, undisturbed, environment, tmp_path
):
    interrupt_until_done(tmp_path, getattr(signal, name), environment, random.Random(0))
    assert_same_run(tmp_path, undisturbed)


def interrupt_until_done(workdir, number, environment, moments, most=4):
    """Starts a run until it is complete, and interrupts it at most so often.

    Returns:
        How often it was interrupted.
    """
    interruptions = 0
    while True:
        process = start(*RUN, f"--workdir={workdir}", env=environment)
        seconds = moments.uniform(0, LONGEST) if interruptions < most else None
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        try:
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
        if process.returncode == 0:
            return interruptions
        interruptions += 1
        # Before Python has a handler, or after its end began, a signal ends it at once.
        assert process.returncode in (-number, 128 + number), stderr
        assert "Traceback" not in stderr, stderr


def assert_same_run(workdir, other):
    for index in (-2, -1):  # the last checkpoint and the best one
        first, second = find_checkpoints(workdir)[index], find_checkpoints(other)[index]
        assert first.relative_to(workdir) == second.relative_to(other)
        assert_same_checkpoint(first, second)
    for name in ("metrics.csv", "evaluation.csv"):
        assert read_log(workdir / "logs" / name) == read_log(other / "logs" / name)
    grids = sorted(path.name for path in (other / "samples").iterdir())
    assert grids == sorted(path.name for path in (workdir / "samples").iterdir())
    for name in grids:
        first, second = ((w / "samples" / name).read_bytes() for w in (workdir, other))
        assert first == second, name
    assert not [path for path in workdir.rglob("*") if ".partial" in path.name]
