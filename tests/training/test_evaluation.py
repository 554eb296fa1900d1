import csv

import numpy as np
import pytest

from sagan_tf import Sampler
from sagan_tf.config import Config
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.formulas import frechet_distance
from sagan_tf.evaluation.gaussian import Gaussian
from sagan_tf.models.builders import build_sagan
from sagan_tf.training import evaluation as evaluation_module
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.logs import Board
from tests.training.settings import LOGS, SMALL


@pytest.fixture(scope="module")
def model():
    return build_sagan(Config(**SMALL))


def evaluation_for(
    model, workdir, monkeypatch, scores, extractor_name="means", metric="fid"
):
    """Returns the callback for the digits, with scores that the test chooses."""
    extractor = Extractor(
        "means",
        extractor_name,
        "none",
        lambda images: (np.asarray(images).mean(axis=(1, 3)), None),
    )
    monkeypatch.setattr(
        evaluation_module.evaluation, "load_extractor", lambda name, config: extractor
    )
    if scores is not None:
        scores = iter(scores)
        monkeypatch.setattr(
            evaluation_module.evaluation,
            "evaluate",
            lambda *_, **__: (
                {metric: next(scores)},
                {
                    "fake": f"at step {model.step}",
                    "num_fake": 50,
                    "extractor_sha256": extractor_name,
                },
            ),
        )
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
        config, sampler, checkpoints, Board(workdir / "logs")
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
    evaluation.on_train_end()


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


@pytest.mark.parametrize("other", [{"extractor_name": "larger"}, {"metric": "kid"}])
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
    evaluation.on_train_end()
    assert read_scores(tmp_path) == [(0, 9.0)]


def test_the_score_is_that_of_the_ema_generator(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    evaluation, _ = evaluation_for(model, tmp_path, monkeypatch, None)
    trained = model.generator.get_weights()
    model.generator.set_weights([weight + 0.1 for weight in trained])
    try:
        evaluate_steps(evaluation, 0, 2)
    finally:
        model.generator.set_weights(trained)
    real = evaluation_module.evaluation.find_images("train", evaluation._config).load()
    real, fake = (
        gaussian(images / 127.5 - 1)
        for images in (
            np.concatenate(list(real.chunks)),
            Sampler(model.ema_generator).generate(50, seed=0),
        )
    )
    (_, (_, score)) = read_scores(tmp_path)
    assert score == pytest.approx(frechet_distance(real, fake), rel=1e-4)


def gaussian(images):
    features = images.mean(axis=(1, 3))
    return Gaussian(len(features), features.mean(0), np.cov(features, rowvar=False))
