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


@pytest.mark.parametrize(
    "name, changes, shown",
    [
        ("data_dir", {"data": "0b", "data_dir": "dogs"}, ["cats", "dogs"]),
        ("init_from", {"init_from": "old"}, ["none", "old"]),
    ],
)
def test_other_images_and_first_networks_are_groups(tmp_path, name, changes, shown):
    histories = read(
        write_run(tmp_path / "a", seed=0, data_dir="cats"),
        write_run(tmp_path / "b", seed=1, **{"data_dir": "copied", **changes}),
        write_run(tmp_path / "c", seed=2, data_dir="copied"),
    )
    groups = group_runs(histories)
    assert [len(group.histories) for group in groups] == [2, 1]
    assert describe_differences(groups) == {name: shown}


def test_a_seed_counts_once_in_a_group(tmp_path):
    runs = [write_run(tmp_path / name, seed=0) for name in "ab"]
    assert [group.label for group in group_runs(read(*runs))] == ["a", "b"]


def test_curves_are_told_apart_by_their_color_and_dashes(tmp_path):
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", width=8)
    both = make_panels(group_runs(read(a, b)))
    (losses,) = (panel for panel in both if panel.title == "Losses")
    labels = [losses.label(curve) for curve in losses.curves]
    assert labels == ["a, generator", "a, discriminator", *labels[2:]]
    styles = [losses.style(curve) for curve in losses.curves]
    assert styles[0][0] == styles[1][0] != styles[2][0] == styles[3][0]
    assert [dashes for _, dashes in styles] == [0, 1, 0, 1]
    of_b = losses._replace(curves=losses.curves[2:])  # in a panel that a has not
    assert [of_b.style(curve) for curve in of_b.curves] == styles[2:]
    assert [of_b.label(curve) for curve in of_b.curves] == labels[2:]
    (losses,) = (p for p in make_panels(group_runs(read(a))) if p.title == "Losses")
    colors, dashes = zip(*map(losses.style, losses.curves), strict=True)
    assert len(set(colors)) == 2 and set(dashes) == {0}
    gamma = make_panels(group_runs(read(a)))[-2]
    twice = gamma._replace(curves=[*gamma.curves, losses.curves[0]])
    assert twice.label(twice.curves[0]) == "generator attention_8x8"


@pytest.mark.parametrize(
    "scores, is_wide",
    [((300.0, 14.0), True), ((300.0, 16.0), False), ((300.0, -1.0), False)],
)
def test_only_positive_scores_far_apart_have_a_logarithmic_axis(
    tmp_path, scores, is_wide
):
    panels = make_panels(group_runs(read(write_run(tmp_path / "a", scores=scores))))
    assert panels[0].is_score and panels[0].is_wide == is_wide
    assert not any(panel.is_wide for panel in panels[1:])


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
    (logs / "yardsticks.json").write_text('{"broken')
    (logs / "starts.jsonl").write_bytes(b'{"step": "\xff"}\n')
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
    with pytest.raises(UserError, match="its first is at step 50"):
        read(folder)
    short = write_run(tmp_path / "b", rows=0, steps=40)
    with pytest.raises(UserError, match="its first is at step 40"):
        read(short)
