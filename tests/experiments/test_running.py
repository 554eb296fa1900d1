"""An experiment of tiny runs: listed, interrupted, resumed, compared."""

import json
import re
import textwrap
import time

import psutil
import pytest

from experiments.running import run_experiment
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


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--variants=x", "no variant 'x'; there are narrow, wide"),
        ("--seeds=a,,1", "'a,,1' is no list such as 0,1,2"),
        ("--seeds=1,1", "'1,1' is no list such as 0,1,2"),
        ("--seed=1", "each run has its own --seed=1: give --folder and --seeds"),
        ("--workdir=x", "each run has its own --workdir=x: give --folder"),
    ],
)
def test_other_flags_are_refused(flag, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["experiment.py", "--list", flag])
    with pytest.raises(SystemExit):
        run_experiment("A test.", {"narrow": [], "wide": []}, "runs/test")
    assert message in capsys.readouterr().err


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
    pages = [comparable(folder / "report.html") for folder in (whole, killed)]
    assert pages[0] == pages[1]
    _, curves, grids, _ = pages[0]
    assert curves[0][:2] == ("Losses", "narrow (2 seeds)") and len(grids) == 2


def comparable(path):
    """Returns what a report shows, but times and the machine."""
    page = path.read_text().replace(str(path.parent), "FOLDER")
    title, *sections = re.split(r'<h2 id="(\w+)">', page)
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    charts, runs = (
        json.loads(re.search(rf"const {name} = (.*);\n", page)[1])
        for name in ("charts", "runs")
    )
    heading = re.search("<h1>(.*)</h1>", title)[1]
    curves = [
        (chart["title"], heading, trace["name"], trace["y"])
        for chart in charts
        if chart["title"] != "Images per second"
        for trace in chart["traces"]
    ]
    grids = [
        (run["label"], [(grid["step"], grid["source"]) for grid in run["grids"]])
        for run in runs
    ]
    return heading, curves, grids, (found["attention"], found["settings"])


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
