import hashlib

import numpy as np
import pytest

from sagan_tf.cache import cache_dir
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    METRICS,
    Evaluator,
    check_metrics,
    check_published,
    evaluate,
    find_images,
    score_name,
)
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.formulas import frechet_distance, kernel_distance
from sagan_tf.evaluation.gaussian import Gaussian
from sagan_tf.evaluation.image_sets import ImageSet, LoadedImages
from sagan_tf.evaluation.metrics import Needs, is_biased

CONFIG = Config(dataset="digits", image_size=32, channels=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def average_extractor(seen=None):
    """Features are 16 means of 8x8 pixels; four of them are the logits."""

    def network(images):
        images = np.asarray(images)
        if seen is not None:
            seen.append(len(images))
        features = images.reshape(len(images), 4, 8, 4, 8).mean(axis=(2, 4))
        features = features.reshape(len(images), 16)
        return features, 10 * features[:, 4:8]

    return Extractor(
        "averages", "averages", "0123", "none", network, has_probabilities=True
    )


def images(seed, count=120):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 32, 32, 1), np.uint8)


def image_set(array, labels=None, chunk=64, name="some"):
    def load():
        parts = (array[i : i + chunk] for i in range(0, len(array), chunk))
        return LoadedImages(len(array), labels, parts)

    return ImageSet(name, None, load)


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records]


def test_metrics_are_records():
    lower_is_better = {name for name, m in METRICS.items() if m.lower_is_better}
    assert lower_is_better == {"frechet", "kernel", "intra_frechet"}
    assert {name: metric.needs for name, metric in METRICS.items()} == {
        "frechet": Needs(),
        "kernel": Needs(),
        "class_score": Needs(probabilities=True, least_images=10),
        "precision_recall": Needs(least_images=4),
        "density_coverage": Needs(least_images=6),
        "intra_frechet": Needs(labels=True),
    }


@pytest.mark.parametrize(
    ("score", "num_images", "expected"),
    [
        ("frechet", 5, True),
        ("frechet_classifier", 5, True),
        ("intra_frechet_classifier", 4, True),
        ("fid", 5, True),
        ("intra_fid", 5, True),
        ("fid", 6, False),
        ("kid", 5, False),
        ("kernel_frechet", 5, False),  # an extractor of this name
        ("precision", 5, False),
    ],
)
def test_frechet_distances_of_few_images_are_biased(score, num_images, expected):
    assert is_biased(score, num_images, num_features=5) is expected


def test_only_inceptions_scores_have_published_names():
    names = ("frechet", "kernel", "kernel_std", "class_score", "class_score_std")
    names += ("intra_frechet", "precision", "recall", "density", "coverage")
    same = ["precision", "recall", "density", "coverage"]
    assert [score_name(name, "inception") for name in names] == [
        *("fid", "kid", "kid_std", "is", "is_std", "intra_fid", *same)
    ]
    assert [score_name(name, "classifier") for name in names] == [
        *("frechet_classifier", "kernel_classifier", "kernel_classifier_std"),
        *("class_score_classifier", "class_score_classifier_std"),
        *("intra_frechet_classifier", *same),
    ]
    extractor = average_extractor()._replace(short_name="inception")
    scores, _ = evaluate(
        extractor, image_set(images(0)), image_set(images(1)), ["fid", "kernel"]
    )
    assert list(scores) == ["fid", "kid", "kid_std"]


def test_published_names_are_refused_without_inception():
    assert check_metrics(["fid", "kernel", "kid"]) == ("frechet", "kernel")
    for extractor in ("inception", "inception:folder"):
        check_published(["fid", "is"], extractor)
    check_published(["frechet", "precision_recall"], "classifier")
    message = "fid, is: .*--extractor=net.keras. Give --metrics=frechet,kernel,class_sc"
    with pytest.raises(UserError, match=message):
        check_published(["fid", "kernel", "is"], "net.keras")
    with pytest.raises(UserError, match="or --extractor=inception"):
        evaluate(
            average_extractor(), image_set(images(0)), image_set(images(1)), ["kid"]
        )


def test_scores_are_those_of_the_features():
    extractor = average_extractor()
    labels = np.arange(120) % 2
    real, fake = images(0), images(1) // 2
    scores, protocol = evaluate(
        extractor,
        image_set(real, labels),
        image_set(fake, labels),
        list(METRICS),
        seed=4,
    )
    x, _ = extractor(real)
    y, _ = extractor(fake)

    def gaussian(features):
        return Gaussian(len(features), features.mean(0), np.cov(features, rowvar=False))

    assert scores["frechet_averages"] == pytest.approx(
        frechet_distance(gaussian(x), gaussian(y)), rel=1e-9
    )
    assert scores["intra_frechet_averages"] == pytest.approx(
        np.mean(
            [frechet_distance(gaussian(x[i::2]), gaussian(y[i::2])) for i in (0, 1)]
        ),
        rel=1e-5,
    )
    assert (scores["kernel_averages"], scores["kernel_averages_std"]) == pytest.approx(
        kernel_distance(x, y, 100, 120, 4), rel=1e-5
    )
    assert set(scores) == {
        *("frechet_averages", "kernel_averages", "kernel_averages_std"),
        *("class_score_averages", "class_score_averages_std", "precision", "recall"),
        *("density", "coverage", "intra_frechet_averages"),
    }
    hashed = [protocol.pop(f"{name}_sha256") for name in ("real", "fake")]
    assert hashed == [
        hashlib.sha256(x.tobytes()).hexdigest()[:16] for x in (real, fake)
    ]
    assert protocol == {
        "extractor": "averages",
        "extractor_sha256": "0123",
        "resizer": "none",
        "fake": "some",
        "num_features": 16,
        "num_fake": 120,
        "real": "some",
        "num_real": 120,
        "kernel_subsets": 100,
        "kernel_subset_size": 120,  # all images
        "kernel_seed": 4,
        "class_score_splits": 10,
        "class_score_seed": 4,
        "precision_recall_neighbors": 3,
        "density_coverage_neighbors": 5,
    }


def test_scores_do_not_depend_on_the_chunks():
    scores = [
        evaluate(
            average_extractor(),
            image_set(images(0), chunk=chunk),
            image_set(images(1) // 2, chunk=chunk),
            [n for n, m in METRICS.items() if not m.needs.labels],
        )[0]
        for chunk in (1, 64, 120)
    ]
    for other in scores[1:]:
        assert other == pytest.approx(scores[0], rel=1e-9)


def test_real_features_are_computed_once():
    seen = []
    extractor = average_extractor(seen)
    real = find_images("train", CONFIG, 300)
    fake = image_set(images(1, 300), chunk=300)
    first, _ = evaluate(extractor, real, fake, ["frechet"])
    calls = len(seen)
    again, _ = evaluate(extractor, real, fake, ["frechet"])
    assert len(seen) == calls + 3  # 300 fakes in hundreds, and no real image
    assert again == first
    # Another metric needs nothing more; another extractor or other data do.
    evaluate(extractor, real, fake, ["precision_recall"])
    assert len(seen) == calls + 3 + 3
    for number, other in enumerate(({"digest": "other"}, {"resizer": "other"})):
        evaluate(extractor._replace(**other), real, fake, ["frechet"])
        assert len(seen) == calls + 3 + 3 + 6 * (number + 1)
    evaluate(extractor, find_images("train", CONFIG, 301), fake, ["frechet"])
    assert len(seen) == calls + 3 + 3 + 12 + 7


def test_the_inception_score_does_not_depend_on_the_order():
    classes = np.repeat(np.arange(4), 100)  # as in a folder of class folders
    array = np.zeros((400, 32, 32, 1), np.uint8)
    for number, label in enumerate(classes):
        array[number, 8:16, 8 * label : 8 * label + 8] = 255
    real = image_set(images(0))
    (in_order, _), (mixed, _) = (
        evaluate(average_extractor(), real, image_set(array[order]), ["class_score"])
        for order in (slice(None), np.random.default_rng(1).permutation(400))
    )
    assert in_order["class_score_averages"] == pytest.approx(
        mixed["class_score_averages"], rel=0.05
    )
    assert in_order["class_score_averages"] > 3.5


def test_a_set_is_not_compared_with_itself():
    with pytest.raises(UserError, match="are the same images"):
        evaluate(average_extractor(), image_set(images(0)), image_set(images(0)))


@pytest.mark.parametrize(
    ("metric", "count", "message"),
    [
        ("precision_recall", 3, "precision_recall needs 4 images or more. some: 3"),
        ("density_coverage", 5, "needs 6 images or more. some: 5"),
        ("class_score", 9, "needs 10 images or more. some: 9"),
        ("kernel", 1, "needs 2 images or more. some: 1"),
    ],
)
def test_too_few_images_are_an_error_if_nothing_else_is_left(metric, count, message):
    seen = []
    fake = image_set(images(1, count))
    evaluator = Evaluator(average_extractor(seen), image_set(images(0)), [metric])
    calls = len(seen)
    with pytest.raises(UserError, match=message):
        evaluator.score(fake)
    assert len(seen) == calls


def test_few_images_give_a_distance_with_a_warning(caplog):
    real, fake = images(0), images(1, 9) // 2
    evaluator = Evaluator(average_extractor(), image_set(real, name="reference"))
    scores, _ = evaluator.score(image_set(fake))
    x, y = (average_extractor()(array)[0] for array in (real, fake))
    covariances = [np.cov(features, rowvar=False) for features in (x, y)]
    # The trace of the root from the eigenvalues of the product, which is not symmetric.
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(sum(covariances))
    expected -= 2 * np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    assert scores["frechet_averages"] == pytest.approx(expected, rel=1e-4)
    (warning,) = warnings_of(caplog)
    said = "frechet_averages of some is biased upwards: 9 images are too few for the 16"
    assert said in warning and "give more than 16" in warning
    evaluator.score(image_set(fake))  # said once
    evaluator.score(image_set(images(2, 17)))
    assert len(warnings_of(caplog)) == 1
    # With intra_frechet it is the classes that are small.
    labels = np.arange(120) % 2
    evaluate(
        average_extractor(),
        image_set(real, labels),
        image_set(images(1), np.arange(120) // 110),
        ["intra_frechet"],
    )
    (*_, warning) = warnings_of(caplog)
    assert "intra_frechet_averages of some is biased upwards: 10 images of a" in warning


def test_a_metric_that_cannot_be_computed_does_not_stop_the_others(caplog):
    extractor = average_extractor()._replace(has_probabilities=False)
    scores, protocol = evaluate(
        extractor, image_set(images(0)), image_set(images(1, 5)), list(METRICS)
    )
    assert list(scores) == [
        *("frechet_averages", "kernel_averages", "kernel_averages_std"),
        *("precision", "recall"),
    ]
    assert "density_coverage_neighbors" not in protocol
    said = "\n".join(warnings_of(caplog))
    for reason in (
        "class_score needs an extractor with class probabilities",
        "density_coverage needs 6 images or more. some: 5",
        "intra_frechet needs class labels, and some has none",
    ):
        assert f"Not computed: {reason}" in said


def test_a_score_that_is_not_finite_is_left_out(caplog):
    def network(images):
        features = np.asarray(images).reshape(len(images), -1)[:, :4]
        return features * np.where(features[:1] > 0.9, np.nan, 1), None

    extractor = Extractor("nan", "nan", "0", "none", network)
    black, white = np.zeros((20, 32, 32, 1), np.uint8), images(0, 20) | 255
    sets = image_set(black), image_set(white)
    with pytest.raises(UserError, match="No metric of some could be computed"):
        evaluate(extractor, *sets, ["frechet"])
    assert "Not computed: frechet of some" in "\n".join(warnings_of(caplog))


def test_a_class_without_images_is_an_error():
    with pytest.raises(UserError, match="2 images of each class. some has fewer of 1"):
        evaluate(
            average_extractor(),
            image_set(images(0), np.arange(120) % 2),
            image_set(images(1), np.zeros(120, int)),
            ["intra_frechet"],
        )


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:100],
        lambda whole: b"text",
        lambda whole: whole.replace(b"mean.npy", b"neam.npy"),
    ],
)
def test_damaged_features_are_computed_again(damage, caplog):
    real, fake = find_images("train", CONFIG, 50), image_set(images(1))
    first = evaluate(average_extractor(), real, fake, ["kernel"])
    (path,) = (cache_dir() / "features").glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert evaluate(average_extractor(), real, fake, ["kernel"]) == first
    assert f"{path} is damaged and computed again" in "\n".join(warnings_of(caplog))
    seen = []
    evaluate(average_extractor(seen), real, fake, ["kernel"])
    assert len(seen) == 2  # chunks of the fakes


def test_features_of_other_shapes_are_computed_again():
    real, fake = find_images("train", CONFIG, 50), image_set(images(1))
    first = evaluate(average_extractor(), real, fake, ["kernel"])
    (path,) = (cache_dir() / "features").glob("*.npz")
    with np.load(path) as arrays:
        arrays = dict(arrays)
    for name in ("mean", "covariance", "features"):
        np.savez(path, **{**arrays, name: arrays[name][:-1]})
        assert evaluate(average_extractor(), real, fake, ["kernel"]) == first


def test_unknown_metrics_are_an_error():
    with pytest.raises(UserError, match="no metric 'fit'. Metrics: frechet, kernel"):
        check_metrics(["frechet", "fit"])
    with pytest.raises(UserError, match="no metric given"):
        check_metrics([])
