import dataclasses
import json
import shutil

import numpy as np
import pytest

from sagan_tf.cache import cache_dir
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    Evaluator,
    check_extractor,
    find_fault,
    find_images,
    find_real_images,
    measure_yardsticks,
)
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.formulas import kernel_distance
from sagan_tf.evaluation.image_sets import uniform_noise
from sagan_tf.evaluation.yardsticks import Yardstick

CONFIG = Config(dataset="digits", image_size=32, channels=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def make_extractor(seen=None, **changes):
    """Features are 16 means of 8x8 pixels, and the standard deviation of all."""

    def network(images):
        images = np.asarray(images)
        if seen is not None:
            seen.append(len(images))
        means = images.reshape(len(images), 4, 8, 4, 8).mean(axis=(2, 4))
        deviation = images.std(axis=(1, 2, 3))[:, None]
        return np.concatenate([means.reshape(len(images), 16), deviation], 1), None

    extractor = Extractor("means", "means", "0123", "none", network)
    return extractor._replace(**changes)


def measure(extractor, metrics=("precision_recall",), count=400, seed=0, **settings):
    config = dataclasses.replace(CONFIG, **settings)
    real, held_out = find_real_images("train", config, 1000, count)
    evaluator = Evaluator(extractor, real, metrics, seed)
    return measure_yardsticks(evaluator, held_out, config, count)


def frechet(x, y):
    """The Fréchet distance by the eigenvalues of a product that is not symmetric."""
    c, d = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(c @ d).real, 0, None))
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + d) - 2 * roots.sum()


def test_yardsticks_are_scores_against_the_same_reference():
    extractor = make_extractor()
    yardsticks = measure(extractor, ("frechet", "precision_recall"))
    real, held_out = find_real_images("train", CONFIG, 1000, 400)
    features = [
        extractor(np.concatenate(list(images.load().chunks)))[0]
        for images in (real, held_out, uniform_noise(CONFIG, 400))
    ]
    assert [y.num_images for y in yardsticks.values()] == [179, 400]
    for yardstick, own in zip(yardsticks.values(), features[1:], strict=True):
        assert set(yardstick.scores) == {
            *("frechet_means", "precision", "recall"),
            *("kernel_means", "kernel_means_std"),  # what judges the extractor
        }
        size = min(len(features[0]), len(own))
        kernel, _ = kernel_distance(features[0], own, 100, size, seed=0)
        # Not the same features bit for bit: those of the evaluator are float32.
        assert yardstick.scores["kernel_means"] == pytest.approx(kernel, rel=1e-4)
        expected = frechet(features[0], own)
        assert yardstick.scores["frechet_means"] == pytest.approx(expected, rel=1e-4)
    assert yardsticks["held_out"].images == "held-out images of digits, at 32 px"
    assert yardsticks["noise"].scores["precision"] == 0


def test_noise_is_uniform_and_always_the_same():
    config = dataclasses.replace(CONFIG, channels=3)
    first, again, fewer = (
        np.concatenate(list(uniform_noise(config, count).load().chunks))
        for count in (1200, 1200, 500)
    )
    assert first.shape == (1200, 32, 32, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:500], fewer)
    counts = np.bincount(first.ravel(), minlength=256)
    expected = first.size / 256
    # Chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6.
    assert 165 < ((counts - expected) ** 2 / expected).sum() < 345
    neighbors = np.corrcoef(first[:, :, 1:].ravel(), first[:, :, :-1].ravel())
    assert abs(neighbors[0, 1]) < 0.005


@pytest.mark.exhaustive
def test_a_second_evaluation_computes_no_yardstick():
    seen = []
    extractor = make_extractor(seen)
    first = measure(extractor, ["kernel"])
    calls = len(seen)
    assert measure(extractor, ["kernel"]) == first and len(seen) == calls
    # The run's seed does not matter; that of the subsets does.
    assert measure(extractor, ["kernel"], **{"seed": 0}) == first
    # Another metric is computed on its own: features of 179 and 400 images.
    both = measure(extractor, ["kernel", "precision_recall"])
    assert len(seen) == calls + 2 + 4
    scores = first["noise"].scores
    assert scores.items() <= both["noise"].scores.items()
    for change in (
        lambda: measure(make_extractor(seen, digest="other"), ["kernel"]),
        lambda: measure(make_extractor(seen, resizer="other"), ["kernel"]),
        lambda: measure(make_extractor(seen, short_name="other"), ["kernel"]),
        lambda: measure(extractor, ["kernel"], count=300),
        lambda: measure(extractor, ["kernel"], seed=1),
    ):
        (cache_dir() / "yardsticks").rename(cache_dir() / "kept")
        change()  # now the features of its reference are cached
        shutil.rmtree(cache_dir() / "yardsticks")
        (cache_dir() / "kept").rename(cache_dir() / "yardsticks")
        calls = len(seen)
        change()
        assert len(seen) > calls


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"scores": 1}'])
def test_damaged_yardsticks_are_computed_again(text):
    first = measure(make_extractor())
    paths = list((cache_dir() / "yardsticks").glob("*.json"))
    assert len(paths) == 4
    for path in paths:
        path.write_text(text)
    assert measure(make_extractor()) == first
    assert all(json.loads(path.read_text()) for path in paths)


def test_what_cannot_be_computed_is_missing_and_stops_nothing(caplog):
    yardsticks = measure(make_extractor(), ["density_coverage"], count=5)
    assert "density" not in yardsticks["noise"].scores
    assert yardsticks["noise"].scores["kernel_means"] > 0
    said = [record.getMessage() for record in caplog.records]
    assert any("needs 6 images or more. uniform noise: 5" in text for text in said)


def test_noise_has_the_labels_of_the_reference():
    extractor = make_extractor(has_probabilities=False)
    yardsticks = measure(extractor, ["intra_frechet"])
    real, held_out = find_real_images("train", CONFIG, 1000, 400)
    expected = []
    x, labels = (extractor(np.concatenate(list(real.load().chunks)))[0]), real.load()[1]
    noise = uniform_noise(CONFIG, 400, np.arange(10)).load()
    y = extractor(np.concatenate(list(noise.chunks)))[0]
    assert noise.labels.tolist() == list(range(10)) * 40
    expected = [frechet(x[labels == k], y[noise.labels == k]) for k in range(10)]
    score = yardsticks["noise"].scores["intra_frechet_means"]
    assert score == pytest.approx(np.mean(expected), rel=1e-3)


def yardsticks(held_out, noise):
    scores = [{} if s is None else {"kernel_means": s} for s in (held_out, noise)]
    return {
        "held_out": Yardstick("real", 100, scores[0]),
        "noise": Yardstick("noise", 100, scores[1]),
    }


@pytest.mark.parametrize(
    ("held_out", "noise", "accuracy", "chance", "fault"),
    [
        (1.0, 10.0, None, None, None),
        (1.0, 10.0, 0.99, 0.1, None),
        (1e-9, 10.0, 0.99, 0.1, None),
        (-0.1, 10.0, 0.99, 0.1, None),  # an unbiased estimate can be negative
        (-0.01, 0.001, None, None, "must be 10 times lower"),
        (-1e-9, 1e-9, None, None, "must be 10 times lower"),
        (1.0, 9.9, None, None, "kernel_means is 9.9 for noise and 1 for held-out"),
        (1.7, 2.3, 0.99, 0.1, "must be 10 times lower"),
        (0.0, 0.0, None, None, "is 0 for noise"),
        (None, 10.0, None, None, "nan for held-out"),
        (1.0, None, None, None, "nan for noise"),
        # Three classes, as in the run that was misled.
        (1.0, 99.0, 0.465, 1 / 3, "held-out accuracy is 46.5%, near chance .33.3%."),
        (1.0, 99.0, 0.55, 1 / 3, None),
        # Attributes, most of which are rare.
        (1.0, 99.0, 0.82, 0.80, "82.0%, near chance .80.0%."),
        (1.0, 99.0, 0.88, 0.80, None),
        (1.0, 99.0, 0.40, 0.25, "near chance"),
        (1.0, 99.0, 1.0, 1.0, "near chance"),
    ],
)
def test_an_extractor_that_cannot_judge_is_found(
    held_out, noise, accuracy, chance, fault
):
    extractor = make_extractor(accuracy=accuracy, chance=chance)
    found = find_fault(extractor, yardsticks(held_out, noise))
    if fault is None:
        assert found is None
        check_extractor(extractor, yardsticks(held_out, noise), force=False)
    else:
        assert found.startswith("The extractor cannot judge this data: ")
        with pytest.raises(UserError, match=f"{fault}.*--force"):
            check_extractor(extractor, yardsticks(held_out, noise), force=False)


def test_force_turns_the_error_into_a_warning(caplog):
    check_extractor(make_extractor(), yardsticks(1.0, 2.0), force=True)
    (record,) = caplog.records
    assert "cannot judge this data" in record.getMessage()


def test_an_extractor_that_looks_at_nothing_is_refused():
    """Brightness alone: noise is as bright as real images made as bright."""

    def network(images):
        return np.asarray(images)[:, :2, :2].reshape(len(images), -1), None

    extractor = Extractor("corner", "corner", "0123", "none", network)
    config = dataclasses.replace(CONFIG)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (500, 32, 32, 1), np.uint8)  # no better than noise
    path = cache_dir().parent / "noise.npz"
    np.savez(path, images=images)
    real = find_images(str(path), config)
    _, held_out = find_real_images("train", config, 100, 100)
    measured = measure_yardsticks(Evaluator(extractor, real), held_out, config, 400)
    assert "times lower" in find_fault(extractor, measured)
