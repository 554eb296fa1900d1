"""An experiment of tiny runs: listed, interrupted, resumed, compared."""

import textwrap
import time

import numpy as np
import psutil
import pytest

from sagan_tf.report.curves import group_runs, make_panels
from sagan_tf.report.history import read_histories
from tests.comparison import read_log
from tests.processes import TINY, call, start

pytest.importorskip("plotly")

SCRIPT = f"""
    from experiments.running import run_experiment

    TINY = {list(TINY)!r}
    VARIANTS = {{"narrow": [*TINY, "--width=4"], "wide": [*TINY, "--width=8"]}}
    run_experiment("A test.", VARIANTS, "runs/test")
    """


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return str(path)


def run(script, folder, *arguments):
    return call(script, f"--folder={folder}", "--seeds=0,1", "--no_scores", *arguments)


def test_the_list_is_of_commands_that_another_scheduler_can_run(script, tmp_path):
    code, said, stderr = run(script, tmp_path / "runs", "--list", "--steps=7")
    assert code == 0, stderr
    lines = said.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("python -m sagan_tf train ") for line in lines)
    assert "--width=8 --steps=7 --seed=0" in lines[1]
    assert lines[3].endswith(f"--seed=1 --workdir={tmp_path}/runs/wide_seed1")
    code, _, stderr = run(script, tmp_path / "runs", "--variants=x")
    assert code == 2 and "no variant x; there are narrow, wide" in stderr


@pytest.mark.exhaustive
def test_an_experiment_that_was_killed_gives_the_same_report(script, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, said, stderr = run(script, whole, "--variants=narrow")
    assert code == 0, stderr
    flags = (f"--folder={killed}", "--seeds=0,1", "--no_scores", "--variants=narrow")
    process = start(script, *flags)
    # In the second run, with the first one complete.
    while not list(killed.glob("narrow_seed1/checkpoints/*.index")):
        assert process.poll() is None
        time.sleep(0.01)
    for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children()):
        each.kill()
    process.communicate()
    code, again, stderr = call(script, *flags)
    assert code == 0, stderr
    assert "narrow_seed0 is already complete" in again
    for name in ("narrow_seed0", "narrow_seed1"):
        logs = [folder / name / "logs" / "metrics.csv" for folder in (whole, killed)]
        first, second = map(read_log, logs)
        assert first == second and len(first) == 4
    assert "| narrow (2 seeds) | 12 |" in said and "| narrow (2 seeds) | 12 |" in again
    losses = [
        make_panels(group_runs(read_histories(sorted(folder.glob("*_seed*")))))[0]
        for folder in (whole, killed)
    ]
    for first, second in zip(*(panel.curves for panel in losses), strict=True):
        assert first.group == second.group == "narrow (2 seeds)"
        np.testing.assert_array_equal(first.mean, second.mean)
        np.testing.assert_array_equal(first.spread, second.spread)
    assert (killed / "report.html").exists()


@pytest.mark.slow
def test_after_sigterm_no_process_is_left(script, tmp_path):
    process = start(script, f"--folder={tmp_path / 'runs'}", "--no_scores")
    while not list(tmp_path.glob("runs/*/checkpoints/*.index")):
        assert process.poll() is None
        time.sleep(0.01)
    (child,) = psutil.Process(process.pid).children()
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert not child.is_running()
