import numpy as np
import pytest

from experiments.tables import cut, print_tables
from sagan_tf.report.history import read_history
from tests.report.runs import write_run
from tests.report.test_scores import evaluate


@pytest.fixture
def workdirs(tmp_path):
    # A row each 50 steps, and 36 seconds for it: the first run is the longer one.
    slow = write_run(tmp_path / "slow", rows=4, scores=())
    evaluate(slow, 100, 90.0)
    evaluate(slow, 200, 10.0)
    fast = write_run(tmp_path / "fast", rows=3, scores=(), width=8)
    evaluate(fast, 100, 30.0)
    evaluate(fast, 150, 20.0)
    return [slow, fast]


def test_runs_are_compared_at_their_last_steps(workdirs, capsys):
    print_tables(workdirs)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "digits, 32 px",
        "",
        "| | steps | training | fid |",
        "|---|---|---|---|",
        "| slow | 200 | 2.4 min | 10 |",
        "| fast | 150 | 108 s | 20 |",
        "| held-out real images |  |  | 1.25 |",
    ]


def test_after_equal_times_scores_are_interpolated(workdirs, capsys):
    print_tables(workdirs, equal_time=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "digits, 32 px, after 108 s of training"
    # 108 seconds are halfway between the checkpoints at 72 and 144 seconds.
    assert lines[5:7] == [
        "| slow | 150 | 108 s | 50 |",
        "| fast | 150 | 108 s | 20 |",
    ]


def test_scores_during_training_are_cut_too(tmp_path, capsys):
    # Scores at steps 0, 100 and 200; the other run takes 36 seconds.
    slow = write_run(tmp_path / "slow", scores=(300.0, 100.0, 20.0))
    fast = write_run(tmp_path / "fast", rows=1, scores=(8.0, 6.0), width=8)
    print_tables([slow, fast], equal_time=True)
    assert "| slow | 50 | 36 s | 200 |" in capsys.readouterr().out


def test_nothing_is_said_of_steps_before_the_first_score(workdirs, tmp_path, capsys):
    short = write_run(tmp_path / "short", rows=1, scores=(), width=4)
    evaluate(short, 50, 7.0)
    print_tables([*workdirs, short], equal_time=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[5:8] == [
        "| slow | 50 | 36 s | - |",
        "| fast | 50 | 36 s | - |",
        "| short | 50 | 36 s | 7 |",
    ]


def test_rounding_does_not_drop_the_last_row(tmp_path):
    history = read_history(write_run(tmp_path / "a", rows=40))
    for time in np.random.default_rng(0).random(200):
        assert cut(history, time * 2000, time).last_step == 2000
