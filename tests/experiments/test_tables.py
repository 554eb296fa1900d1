import pytest

from experiments.tables import print_tables
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
