import csv

import numpy as np
import pytest

from sagan_tf import Sampler
from sagan_tf.config import Config
from sagan_tf.evaluation import Evaluator, find_real_images
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.formulas import frechet_distance
from sagan_tf.evaluation.gaussian import Gaussian
from sagan_tf.models.builders import build_sagan
from sagan_tf.signals import Signals
from sagan_tf.training import evaluation as evaluation_module
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.logs import Board
from tests.training.settings import LOGS, SMALL


@pytest.fixture(scope="module")
def model():
    return build_sagan(Config(**SMALL))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def make_extractor(name="means", **changes):
    return Extractor(
        "means",
        "means",
        name,
        "none",
        lambda images: (np.asarray(images).mean(axis=(1, 3)), None),
    )._replace(**changes)


class Scores(Evaluator):
    """An evaluator whose scores of generated images the test chooses."""

    scores: dict = {}

    def score(self, fake):
        name = f"{self.metrics[0]}_means"
        protocol = {
            "fake": fake.name,
            "num_fake": 50,
            "extractor_sha256": self.extractor.digest,
        }
        return {name: next(self.scores)}, protocol


def evaluation_for(
    model,
    workdir,
    monkeypatch,
    scores=None,
    metric="frechet",
    extractor=None,
    **changes,
):
    """Returns the callback for the digits, maybe with scores that the test chooses."""
    extractor = extractor or make_extractor(**changes)
    package = evaluation_module.evaluation
    monkeypatch.setattr(package, "load_extractor", lambda name, config: extractor)
    evaluator = Evaluator
    if scores is not None:
        evaluator = type("Chosen", (Scores,), {"scores": iter(scores)})
    monkeypatch.setattr(package, "Evaluator", evaluator)
    config = Config(
        **SMALL,
        workdir=str(workdir),
        evaluation_interval=2,
        evaluation_images=50,
        evaluation_metric=metric,
    )
    checkpoints = Checkpoints(workdir, model)
    sampler = Sampler(model.ema_generator)
    evaluation = evaluation_module.Evaluation(
        config, sampler, checkpoints, Board(workdir / "logs"), Signals()
    )
    evaluation.set_model(model)
    return evaluation, checkpoints


def evaluate_steps(evaluation, first, last):
    model = evaluation.model
    model.step.assign(first)
    evaluation.on_train_begin()
    for step in range(first, last):
        model.step.assign(step + 1)
        evaluation.on_train_batch_end(step, LOGS)


def read_scores(workdir):
    with open(workdir / "logs" / "evaluation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(row["step"]), float(row["score"])) for row in rows]


def test_the_best_checkpoint_is_kept_over_restarts(model, tmp_path, monkeypatch):
    evaluation, checkpoints = evaluation_for(
        model, tmp_path, monkeypatch, [9.0, 5.0, 3.0, 4.0, 3.5, 2.0]
    )
    evaluate_steps(evaluation, 0, 6)
    assert read_scores(tmp_path) == [(0, 9.0), (2, 5.0), (4, 3.0), (6, 4.0)]
    assert checkpoints.restore(best=True) == 4
    # Killed and resumed from step 4: step 6 comes again, and is not the best.
    evaluate_steps(evaluation, 4, 6)
    assert read_scores(tmp_path) == [(0, 9.0), (2, 5.0), (4, 3.0), (6, 3.5)]
    assert checkpoints.restore(best=True) == 4
    evaluate_steps(evaluation, 6, 8)
    assert checkpoints.restore(best=True) == 8


@pytest.mark.parametrize("other", [{"name": "larger"}, {"metric": "kernel"}])
def test_scores_of_another_protocol_are_kept_and_not_compared(
    other, model, tmp_path, monkeypatch
):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, [9.0, 5.0])
    evaluate_steps(evaluation, 0, 2)
    # Step 2 is evaluated again: it has no score by this protocol.
    scores = [900.0, 800.0, 850.0]
    evaluation, checkpoints = evaluation_for(
        model, tmp_path, monkeypatch, scores, **other
    )
    evaluate_steps(evaluation, 2, 6)
    expected = [(0, 9.0), (2, 5.0), (2, 900.0), (4, 800.0), (6, 850.0)]
    assert read_scores(tmp_path) == expected
    assert checkpoints.restore(best=True) == 4
    # Back to the first protocol, whose best checkpoint is gone.
    evaluation, checkpoints = evaluation_for(model, tmp_path, monkeypatch, [7.0])
    evaluate_steps(evaluation, 6, 6)
    assert checkpoints.restore(best=True) == 6


def test_the_best_checkpoint_is_saved_before_its_row(model, tmp_path, monkeypatch):
    evaluation, checkpoints = evaluation_for(model, tmp_path, monkeypatch, [9.0, 3.0])

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation._checkpoints, "save_best", lambda: None)
    evaluate_steps(evaluation, 0, 0)
    monkeypatch.setattr(evaluation._checkpoints, "save_best", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_steps(evaluation, 0, 2)
    assert read_scores(tmp_path) == [(0, 9.0)]


def test_the_score_is_that_of_the_ema_generator(model, tmp_path, monkeypatch):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch)
    trained = model.generator.get_weights()
    model.generator.set_weights([weight + 0.1 for weight in trained])
    try:
        evaluate_steps(evaluation, 0, 2)
    finally:
        model.generator.set_weights(trained)
    reference, _ = find_real_images("train", evaluation._config, 10_000, 50)
    real = reference.load()
    real, fake = (
        gaussian(images / 127.5 - 1)
        for images in (
            np.concatenate(list(real.chunks)),
            Sampler(model.ema_generator).generate(50, seed=0),
        )
    )
    (_, (_, score)) = read_scores(tmp_path)
    with open(tmp_path / "logs" / "evaluation.csv", newline="") as file:
        (row, _) = csv.DictReader(file)
    assert row["metric"] == "frechet_means"
    assert score == pytest.approx(frechet_distance(real, fake), rel=1e-4)


def gaussian(images):
    features = images.mean(axis=(1, 3))
    return Gaussian(len(features), features.mean(0), np.cov(features, rowvar=False))


def read_rows(workdir):
    return (workdir / "logs" / "evaluation.csv").read_text()


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_resumed_run_has_the_rows_of_an_undisturbed_one(
    stop, model, tmp_path, monkeypatch
):
    undisturbed, _ = evaluation_for(model, tmp_path / "a", monkeypatch)
    evaluate_steps(undisturbed, 0, 6)
    for first, last in ((0, stop), (stop, stop), (stop, 6)):
        resumed, _ = evaluation_for(model, tmp_path / "b", monkeypatch)
        evaluate_steps(resumed, first, last)
    assert read_rows(tmp_path / "b") == read_rows(tmp_path / "a")
    assert [step for step, _ in read_scores(tmp_path / "b")] == [0, 2, 4, 6]


@pytest.mark.parametrize("where", ["compute", "save_best", "write"])
def test_an_interrupted_evaluation_is_made_on_resume(
    where, model, tmp_path, monkeypatch
):
    undisturbed, _ = evaluation_for(model, tmp_path / "a", monkeypatch)
    evaluate_steps(undisturbed, 0, 6)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    run = tmp_path / "b"
    evaluation, _ = evaluation_for(model, run, monkeypatch)
    model.step.assign(0)
    evaluation.on_train_begin()
    model.step.assign(1)
    evaluation.on_train_batch_end(0, LOGS)
    with monkeypatch.context() as patch:
        if where == "compute":
            patch.setattr(evaluation._evaluator, "compute", interrupt)
        elif where == "save_best":
            patch.setattr(evaluation, "_is_better", lambda *_: True)
            patch.setattr(evaluation._checkpoints, "save_best", interrupt)
        else:
            patch.setattr(evaluation._log, "write", interrupt)
        model.step.assign(2)
        with pytest.raises(KeyboardInterrupt):
            evaluation.on_train_batch_end(1, LOGS)
    # The interrupted step is saved, and training resumes from it.
    resumed, checkpoints = evaluation_for(model, run, monkeypatch)
    evaluate_steps(resumed, 2, 6)
    assert read_rows(run) == read_rows(tmp_path / "a")
    scores = dict(read_scores(run))
    assert checkpoints.restore(best=True) == min(scores, key=scores.get)


def test_an_interruption_of_the_first_evaluation_leaves_nothing(
    model, tmp_path, monkeypatch
):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluation_module.evaluation, "find_fault", interrupt)
        model.step.assign(0)
        with pytest.raises(KeyboardInterrupt):
            evaluation.on_train_begin()
    evaluate_steps(evaluation, 0, 2)
    assert [step for step, _ in read_scores(tmp_path)] == [0, 2]


def test_a_new_extractor_is_tried_at_once(model, tmp_path, monkeypatch):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, [9.0, 5.0])
    evaluate_steps(evaluation, 0, 3)
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, [7.0, 6.0], name="new")
    evaluate_steps(evaluation, 3, 4)
    expected = [(0, 9.0), (2, 5.0), (3, 7.0), (4, 6.0)]
    assert read_scores(tmp_path) == expected


@pytest.mark.parametrize(
    "changes",
    [
        # It sees nothing: everything scores the same.
        {"network": lambda images: (np.asarray(images)[:, 0, :2, 0] * 0.0, None)},
        {"accuracy": 0.4, "chance": 1 / 3},
    ],
)
def test_an_extractor_that_cannot_judge_chooses_no_checkpoint(
    changes, model, tmp_path, monkeypatch, caplog
):
    for first, last in ((0, 4), (4, 6)):
        evaluation, checkpoints = evaluation_for(
            model, tmp_path, monkeypatch, [9.0, 5.0, 4.0], **changes
        )
        evaluate_steps(evaluation, first, last)
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        (warning,) = (text for text in said if "cannot judge this data" in text)
        assert "no checkpoint is kept as the best one" in warning
    assert [step for step, _ in read_scores(tmp_path)] == [0, 2, 4, 6]
    assert checkpoints.restore(best=True) is None


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("protocol", text) for text in ("", "{", "[]", "3")),
        *(("score", text) for text in ("", "low", "nan")),
    ],
)
def test_a_damaged_row_is_of_another_protocol(
    column, text, model, tmp_path, monkeypatch
):
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, [1.0, 5.0])
    evaluate_steps(evaluation, 0, 2)
    path = tmp_path / "logs" / "evaluation.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    rows[-1][column] = text
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    scores = [8.0, 7.0] if column == "protocol" else [7.0]
    evaluation, checkpoints = evaluation_for(model, tmp_path, monkeypatch, scores)
    evaluate_steps(evaluation, 2, 4)
    # The score of 1.0 is from before the damage, and not compared.
    assert checkpoints.restore(best=True) == 4
