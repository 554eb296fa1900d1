import re

import numpy as np
import pytest

from experiments.tables import cut, print_tables
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.report.history import read_history
from tests.report.runs import write_run
from tests.report.test_scores import evaluate


@pytest.fixture
def workdirs(tmp_path):
    slow = write_run(tmp_path / "slow", rows=4, scores=(), seconds=72)
    evaluate(slow, 50, 90.0)
    evaluate(slow, 100, 10.0)
    fast = write_run(tmp_path / "fast", rows=3, scores=(), width=8)
    evaluate(fast, 100, 30.0)
    evaluate(fast, 150, 20.0)
    return [slow, fast]


def test_runs_are_compared_at_the_last_steps_that_were_scored(workdirs, capsys):
    print_tables(workdirs)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "digits, 32 px",
        "",
        "| | steps | training | fid |",
        "|---|---|---|---|",
        "| slow | 100 | 2.4 min | 10 |",
        "| fast | 150 | 108 s | 20 |",
        "| held-out real images |  |  | 1.25 |",
    ]


def test_after_equal_times_scores_are_interpolated(workdirs, capsys):
    print_tables(workdirs, equal_time=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "digits, 32 px, after 108 s of training"
    # 108 seconds are halfway between the checkpoints at 72 and 144 seconds.
    assert lines[5:7] == [
        "| slow | 75 | 108 s | 50 |",
        "| fast | 150 | 108 s | 20 |",
    ]


def test_steps_that_seeds_do_not_share_are_shown(tmp_path, capsys):
    for seed, step in ((0, 200), (1, 150)):
        evaluate(write_run(tmp_path / f"a{seed}", scores=(), seed=seed), step, 3.0)
    print_tables([tmp_path / "a0", tmp_path / "a1"])
    assert "| a (2 seeds) | 150 to 200 | 2.4 min |" in capsys.readouterr().out


def test_scores_during_training_are_cut_too(tmp_path, capsys):
    # Scores at steps 0, 100 and 200; the other run takes 36 seconds.
    slow = write_run(tmp_path / "slow", scores=(300.0, 100.0, 20.0), seconds=72)
    fast = write_run(tmp_path / "fast", rows=1, scores=(8.0, 6.0), width=8)
    print_tables([slow, fast], equal_time=True)
    assert "| slow | 25 | 36 s | 250 |" in capsys.readouterr().out


def test_nothing_is_said_of_steps_before_the_first_score(workdirs, tmp_path, capsys):
    short = write_run(tmp_path / "short", rows=1, scores=(), width=4)
    evaluate(short, 50, 7.0)
    print_tables([*workdirs, short], equal_time=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[5:8] == [
        "| slow | 25 | 36 s | - |",
        "| fast | 50 | 36 s | - |",
        "| short | 50 | 36 s | 7 |",
    ]


def test_rounding_does_not_drop_the_last_row(tmp_path):
    history = read_history(write_run(tmp_path / "a", rows=40))
    for time in np.random.default_rng(0).random(200):
        assert cut(history, time * 2000, time).last_step == 2000


def test_the_time_of_a_step_is_that_of_the_fastest_row_of_any_seed(tmp_path, capsys):
    # Other work on the machine slowed one seed, and one row of the other.
    slowed = write_run(tmp_path / "a_seed0", scores=(300.0, 200.0), seconds=90, seed=0)
    other = write_run(tmp_path / "a_seed1", scores=(300.0, 200.0), seconds=72, seed=1)
    log = other / "logs" / "metrics.csv"
    text = log.read_text()
    for step, speed in ((100, 50 * Config().batch_size / 36), (50, 0), (150, -4)):
        text = re.sub(rf"\n{step},[^,]*", f"\n{step},{speed}", text)
    assert text != log.read_text()
    log.write_text(text)
    fast = write_run(tmp_path / "b", rows=2, scores=(8.0, 6.0), width=8)
    print_tables([slowed, other, fast], equal_time=True)
    # The 72 seconds of the other run are enough for 100 steps of 36 / 50 seconds.
    assert "| a (2 seeds) | 100 | 72 s | 200 ± 0 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    "column, value", [("generator_loss", 1), ("images_per_second", 0)]
)
def test_runs_without_times_are_compared_at_their_last_steps_alone(
    workdirs, column, value
):
    log = workdirs[0] / "logs" / "metrics.csv"
    log.write_text(f"step,{column}\n50,{value}\n100,{value}\n")
    with pytest.raises(UserError, match="slow has logged no times"):
        print_tables(workdirs, equal_time=True)


def test_scores_of_other_protocols_have_columns_of_their_own(workdirs, capsys):
    evaluate(workdirs[1], 150, 7.0, images=9)
    print_tables(workdirs)
    lines = capsys.readouterr().out.splitlines()
    assert "| steps | training | fid | fid (protocol 2) |" in lines[3]
    assert lines[5:7] == [
        "| slow | 100 | 2.4 min | 10 |  |",
        "| fast | 150 | 108 s | 20 | 7 |",
    ]


def test_runs_without_scores_say_how_to_get_them(workdirs, tmp_path, capsys):
    print_tables([write_run(tmp_path / "new", scores=())])
    assert "No scores: python -m experiments.extractors" in capsys.readouterr().out
    print_tables(workdirs)
    assert "No scores" not in capsys.readouterr().out


def test_a_score_of_evaluate_comes_before_that_of_training(tmp_path, capsys):
    run = write_run(tmp_path / "run", scores=(300.0, 100.0))
    evaluate(run, 50, 120.0, extractor="classifier")
    print_tables([run])
    assert "| run | 50 to 100 | 72 s | 120 |" in capsys.readouterr().out
