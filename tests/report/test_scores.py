import json

from sagan_tf.report.curves import group_runs
from sagan_tf.report.history import read_history
from sagan_tf.report.scores import make_tables
from tests.report.runs import write_run


def evaluate(folder, step, score, seed=0, images=500, truncation=1, **settings):
    path = folder / "evaluation" / f"{step:06d}.json"
    path.parent.mkdir(exist_ok=True)
    records = json.loads(path.read_text()) if path.exists() else []
    protocol = {
        "extractor": "own",
        "fake": f"EMA generator at step {step}, seed {seed}, truncation {truncation}",
        "fake_sha256": f"{score}",
        "num_fake": images,
        **settings,
    }
    yardsticks = {"held_out": {"scores": {"fid": 1.25}}, "noise": {"scores": {}}}
    record = {"scores": {"fid": score}, "protocol": protocol, "yardsticks": yardsticks}
    path.write_text(json.dumps([*records, record]))


def test_scores_of_one_protocol_are_a_table_with_their_spread(tmp_path):
    a0 = write_run(tmp_path / "a0", scores=(), seed=0)
    a1 = write_run(tmp_path / "a1", scores=(), seed=1)
    b = write_run(tmp_path / "b", scores=(), width=8)
    evaluate(a0, 100, 90.0)
    evaluate(a0, 200, 10.0)
    evaluate(a1, 300, 14.0, seed=1)
    evaluate(b, 200, 30.0)
    evaluate(b, 200, 31.0, images=9)
    tables = make_tables(group_runs([read_history(run) for run in (a0, a1, b)]))
    first, second = tables
    assert first.protocol["fake"] == "EMA generator, truncation 1"
    assert [row.label for row in first.rows] == [
        *("a (2 seeds)", "b", "held-out real images"),
    ]
    # 10 and 14: a standard deviation of 4 / sqrt(2).
    assert [row.cells() for row in first.rows] == [["12.0 ± 2.8"], ["30"], ["1.25"]]
    assert [row.steps for row in first.rows] == [[200, 300], [200], []]
    assert second.protocol["num_fake"] == "9"
    assert [row.scores for row in second.rows] == [[[31.0]], [[1.25]]]


def test_missing_scores_are_counted(tmp_path):
    runs = [write_run(tmp_path / f"a{n}", scores=(), seed=n) for n in range(3)]
    evaluate(runs[0], 200, 4.0)
    evaluate(runs[1], 200, 5.0, seed=1)
    (table,) = make_tables(group_runs([read_history(run) for run in runs]))
    assert table.rows[0].cells() == ["4.50 ± 0.71 (2 of 3)"]
    evaluate(runs[2], 200, float("nan"), seed=2)
    (table,) = make_tables(group_runs([read_history(run) for run in runs]))
    assert table.rows[0].cells() == ["4.50 ± 0.71 (2 of 3)"]


def test_the_number_of_held_out_images_is_in_the_label(tmp_path):
    (table,) = make_tables(group_runs([read_history(write_run(tmp_path / "a"))]))
    labels = [row.label for row in table.rows]
    assert labels == ["a", "9 held-out real images", "noise"]


def test_scores_during_training_are_those_of_the_last_common_step(tmp_path):
    runs = [
        write_run(tmp_path / "a0", scores=(300.0, 100.0), seed=0),
        write_run(tmp_path / "a1", scores=(280.0, 104.0, 1.0), seed=1),
    ]
    (table,) = make_tables(group_runs([read_history(run) for run in runs]))
    assert [row.cells() for row in table.rows] == [["102.0 ± 2.8"], ["2"], ["400"]]
    assert table.rows[0].steps == [100]


def test_scores_of_training_are_in_the_table_of_evaluate(tmp_path):
    folder = write_run(tmp_path / "a", scores=(300.0, 100.0))
    evaluate(folder, 100, 100.4, extractor="classifier", kernel_seed=0)
    evaluate(folder, 100, 7.0, extractor="classifier", truncation=0.5)
    table, truncated = make_tables(group_runs([read_history(folder)]))
    assert table.protocol["kernel_seed"] == "0"
    rows = [(row.label, row.steps, row.cells()) for row in table.rows]
    assert rows[0] == ("a", [100], ["100.4"]) and rows[1][1] == []
    assert truncated.rows[0].cells() == ["7"]
    # Of another step they have a row of their own.
    (folder / "evaluation" / "000100.json").unlink()
    evaluate(folder, 50, 120.0, extractor="classifier", kernel_seed=1)
    (table,) = make_tables(group_runs([read_history(folder)]))
    rows = [(row.label, row.steps, row.cells()) for row in table.rows]
    assert rows[:2] == [("a", [50], ["120"]), ("a", [100], ["100"])]


def test_seeds_that_only_training_evaluated_count(tmp_path):
    runs = [write_run(tmp_path / f"a{n}", scores=(0.0, 10.0), seed=n) for n in (0, 1)]
    evaluate(runs[0], 100, 20.0, extractor="classifier")
    (table,) = make_tables(group_runs([read_history(run) for run in runs]))
    assert table.rows[0].cells() == ["10 ± 0"]
