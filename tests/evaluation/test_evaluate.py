import hashlib
import json

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    METRICS,
    check_metrics,
    evaluate,
    find_images,
    save_scores,
)
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.features import Needs
from sagan_tf.evaluation.formulas import frechet_distance, kernel_distance
from sagan_tf.evaluation.gaussian import Gaussian
from sagan_tf.evaluation.image_sets import ImageSet, LoadedImages

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

    return Extractor("averages", "0123", "none", network, has_probabilities=True)


def images(seed, count=120):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 32, 32, 1), np.uint8)


def image_set(array, labels=None, chunk=64, name="some"):
    def load():
        parts = (array[i : i + chunk] for i in range(0, len(array), chunk))
        return LoadedImages(len(array), labels, parts)

    return ImageSet(name, None, load)


def test_metrics_are_records():
    lower_is_better = {name for name, m in METRICS.items() if m.lower_is_better}
    assert lower_is_better == {"fid", "kid", "intra_fid"}
    assert {name: metric.needs for name, metric in METRICS.items()} == {
        "fid": Needs(covariance=True),
        "kid": Needs(features=True),
        "is": Needs(probabilities=True, least_images=10),
        "precision_recall": Needs(features=True, least_images=4),
        "density_coverage": Needs(features=True, least_images=6),
        "intra_fid": Needs(features=True, class_covariances=True),
    }


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

    assert scores["fid"] == pytest.approx(
        frechet_distance(gaussian(x), gaussian(y)), rel=1e-9
    )
    assert scores["intra_fid"] == pytest.approx(
        np.mean(
            [frechet_distance(gaussian(x[i::2]), gaussian(y[i::2])) for i in (0, 1)]
        ),
        rel=1e-5,
    )
    assert (scores["kid"], scores["kid_std"]) == pytest.approx(
        kernel_distance(x, y, 100, 120, 4), rel=1e-5
    )
    assert set(scores) == {
        *("fid", "kid", "kid_std", "is", "is_std", "precision", "recall"),
        *("density", "coverage", "intra_fid"),
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
        "num_fake": 120,
        "real": "some",
        "num_real": 120,
        "kid_subsets": 100,
        "kid_subset_size": 120,  # all images
        "kid_seed": 4,
        "is_splits": 10,
        "is_seed": 4,
        "precision_recall_neighbors": 3,
        "density_coverage_neighbors": 5,
    }


def test_scores_do_not_depend_on_the_chunks():
    scores = [
        evaluate(
            average_extractor(),
            image_set(images(0), chunk=chunk),
            image_set(images(1) // 2, chunk=chunk),
            [n for n, m in METRICS.items() if not m.needs.class_covariances],
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
    first, _ = evaluate(extractor, real, fake, ["fid"])
    calls = len(seen)
    again, _ = evaluate(extractor, real, fake, ["fid"])
    assert len(seen) == calls + 3  # 300 fakes in hundreds, and no real image
    assert again == first
    # Single features were not cached, nor those of another extractor or other data.
    evaluate(extractor, real, fake, ["fid", "precision_recall"])
    assert len(seen) == calls + 3 + 6
    for number, other in enumerate(({"digest": "other"}, {"resizer": "other"})):
        evaluate(extractor._replace(**other), real, fake, ["fid"])
        assert len(seen) == calls + 3 + 6 + 6 * (number + 1)
    evaluate(extractor, find_images("train", CONFIG, 301), fake, ["fid"])
    assert len(seen) == calls + 3 + 6 + 12 + 7


def test_the_inception_score_does_not_depend_on_the_order():
    classes = np.repeat(np.arange(4), 100)  # as in a folder of class folders
    array = np.zeros((400, 32, 32, 1), np.uint8)
    for number, label in enumerate(classes):
        array[number, 8:16, 8 * label : 8 * label + 8] = 255
    real = image_set(images(0))
    (in_order, _), (mixed, _) = (
        evaluate(average_extractor(), real, image_set(array[order]), ["is"])
        for order in (slice(None), np.random.default_rng(1).permutation(400))
    )
    assert in_order["is"] == pytest.approx(mixed["is"], rel=0.05)
    assert in_order["is"] > 3.5


def test_a_set_is_not_compared_with_itself():
    with pytest.raises(UserError, match="are the same images"):
        evaluate(average_extractor(), image_set(images(0)), image_set(images(0)))


@pytest.mark.parametrize(
    ("metric", "count", "message"),
    [
        ("fid", 16, "fid needs more images than the 16 features.* some: 16. Take more"),
        ("precision_recall", 3, "needs 4 images or more. some: 3"),
        ("density_coverage", 5, "needs 6 images or more. some: 5"),
        ("is", 9, "is needs 10 images or more"),
        ("kid", 1, "kid needs 2 images or more. some: 1"),
    ],
)
def test_too_few_images_are_an_error(metric, count, message):
    with pytest.raises(UserError, match=message):
        evaluate(
            average_extractor(),
            image_set(images(0, count)),
            image_set(images(1, count)),
            [metric],
        )


def test_too_few_images_of_a_class_are_an_error_before_fakes_are_computed():
    seen = []
    real = image_set(images(0), np.arange(120) // 110, name="real")
    fake = image_set(images(1), np.arange(120) % 2, chunk=120)
    with pytest.raises(UserError, match="images of class 1 than the 16.* real: 10. Ta"):
        evaluate(average_extractor(seen), real, fake, ["fid", "intra_fid"])
    assert len(seen) == 1  # the first real chunk shows the number of features


def test_a_class_without_images_is_an_error():
    with pytest.raises(UserError, match="class 1 has 0. Take more"):
        evaluate(
            average_extractor(),
            image_set(images(0), np.arange(120) % 2),
            image_set(images(1), np.zeros(120, int)),
            ["intra_fid"],
        )


@pytest.mark.parametrize("without", ["real", "fake"])
def test_missing_labels_are_an_error_before_features_are_computed(without):
    seen = []
    real, fake = (
        image_set(images(i), None if name == without else np.arange(120) % 2, name=name)
        for i, name in enumerate(("real", "fake"))
    )
    with pytest.raises(UserError, match=f"needs classes, and {without} has none"):
        evaluate(average_extractor(seen), real, fake, ["fid", "intra_fid"])
    assert not seen


def test_is_needs_probabilities_and_says_so_at_once():
    extractor = average_extractor(seen := [])._replace(has_probabilities=False)
    with pytest.raises(UserError, match="is needs an extractor with class prob"):
        evaluate(extractor, image_set(images(0)), image_set(images(1)), ["fid", "is"])
    assert not seen


def test_cached_features_are_checked_too():
    real = find_images("train", CONFIG, 5)
    evaluate(average_extractor(), real, image_set(images(1, 5)), ["kid"])
    with pytest.raises(UserError, match="6 images or more. digits, at 32 px: 5"):
        evaluate(average_extractor(), real, image_set(images(1)), ["density_coverage"])
    with pytest.raises(UserError, match="fid needs more images than.* at 32 px: 5"):
        evaluate(average_extractor(), real, image_set(images(1)), ["fid"])


def test_unknown_metrics_are_an_error():
    with pytest.raises(UserError, match="no metric 'fit'. Metrics: fid, kid, is"):
        check_metrics(["fid", "fit"])
    with pytest.raises(UserError, match="no metric given"):
        check_metrics([])


def test_records_are_added_and_replaced_by_protocol(tmp_path):
    path = tmp_path / "evaluation" / "000005.json"
    save_scores(path, {"fid": 3.0}, {"seed": 0})
    save_scores(path, {"fid": 4.0}, {"seed": 1})
    save_scores(path, {"fid": 5.0}, {"seed": 0})
    assert json.loads(path.read_text()) == [
        {"scores": {"fid": 4.0}, "protocol": {"seed": 1}},
        {"scores": {"fid": 5.0}, "protocol": {"seed": 0}},
    ]
