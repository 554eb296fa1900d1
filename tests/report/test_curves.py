import json

import numpy as np
import pytest

from sagan_tf.errors import UserError
from sagan_tf.report.curves import describe_differences, group_runs, make_panels
from sagan_tf.report.history import read_history
from tests.report.runs import PROTOCOL, write_run


def read(*folders):
    return [read_history(folder) for folder in folders]


def find(panels, title, name):
    (panel,) = (panel for panel in panels if panel.title == title)
    return [curve for curve in panel.curves if curve.name == name]


def test_runs_that_differ_in_their_seed_alone_are_a_group(tmp_path):
    histories = read(
        write_run(tmp_path / "wide_seed0", seed=0, width=16),
        write_run(tmp_path / "narrow", seed=0, width=8),
        write_run(tmp_path / "wide_seed1", seed=1, width=16, log_interval=60),
    )
    groups = group_runs(histories)
    assert [group.label for group in groups] == ["wide (2 seeds)", "narrow"]
    assert [run.name for run in groups[0].histories] == ["wide_seed0", "wide_seed1"]
    assert describe_differences(groups) == {"width": ["16", "8"]}


def test_a_curve_is_the_mean_over_the_seeds_at_their_common_steps(tmp_path):
    groups = group_runs(
        read(
            write_run(tmp_path / "a", offset=0.0, rows=4, seed=0),
            write_run(tmp_path / "b", offset=3.0, rows=3, seed=1),
        )
    )
    (curve,) = find(make_panels(groups), "Losses", "discriminator_loss")
    np.testing.assert_array_equal(curve.steps, [50, 100, 150])
    np.testing.assert_allclose(curve.mean, [2 + 3, 4 + 3, 6 + 3])
    # Two values that are 6 apart: a standard deviation of 6 / sqrt(2).
    np.testing.assert_allclose(curve.spread, [6 / 2**0.5] * 3)
    np.testing.assert_allclose(curve.hours, [0.01, 0.02, 0.03])


def test_long_logs_are_averaged_in_bins(tmp_path):
    groups = group_runs(read(write_run(tmp_path / "a", rows=4000)))
    (curve,) = find(make_panels(groups), "Losses", "generator_loss")
    assert len(curve.steps) == 400
    assert curve.steps[0] == 500 and curve.steps[-1] == 200_000
    np.testing.assert_allclose(curve.mean[:2], [5.5, 15.5])


def test_scores_of_other_protocols_are_left_out(tmp_path):
    folder = write_run(tmp_path / "a", scores=(300.0, 100.0))
    log = folder / "logs" / "evaluation.csv"
    other = json.dumps({**PROTOCOL, "num_fake": 9}).replace('"', '""')
    lines = log.read_text().splitlines()
    lines.insert(1, f'0,fid,1,"{other}"')
    log.write_text("\n".join([*lines, ""]))
    panels = make_panels(group_runs(read(folder)))
    assert panels[0].title == "fid" and panels[0].is_score and panels[0].real == 2.0
    np.testing.assert_array_equal(panels[0].curves[0].mean, [300, 100])
    np.testing.assert_allclose(panels[0].curves[0].hours, [0, 0.02])


def test_damaged_logs_are_left_out(tmp_path):
    folder = write_run(tmp_path / "a")
    logs = folder / "logs"
    for name in ("yardsticks.json", "starts.jsonl"):
        (logs / name).write_text('{"broken')
    with open(logs / "metrics.csv", "a") as file:
        file.write("250,1\n300,x,,,1,nan,\n350,1")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "000200.json").write_text('[3, {}, {"scores": 1}]')
    (history,) = read(folder)
    assert history.yardsticks == {} and history.starts == history.evaluations == []
    assert history.last_step == 300
    (curve,) = find(make_panels(group_runs([history])), "Losses", "discriminator_loss")
    np.testing.assert_array_equal(curve.mean, [2, 4, 6, 8, np.nan])


def test_a_run_without_times_has_no_hours(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "logs" / "metrics.csv").write_text("step,generator_loss\n50,1\n")
    (history,) = read(folder)
    assert np.isnan(history.hours([0, 50])).all()


def test_a_run_without_rows_is_refused(tmp_path):
    folder = write_run(tmp_path / "a", rows=0)
    with pytest.raises(UserError, match="its first is at step 50, --log_interval"):
        read(folder)
