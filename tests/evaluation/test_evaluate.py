import dataclasses
import json

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    check_metrics,
    evaluate,
    find_images,
    save_figures,
)
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.image_sets import ImageSet
from sagan_tf.evaluation.metrics import frechet_distance, kernel_distance
from sagan_tf.evaluation.statistics import Gaussian

CONFIG = Config(dataset="digits", image_size=32, channels=1)
METRICS = ("fid", "kid", "is", "precision_recall", "density_coverage", "intra_fid")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def average_extractor(seen=None):
    """Features are 16 means of 8x8 pixels; classes are told by four of them."""

    def network(images):
        images = np.asarray(images)
        if seen is not None:
            seen.append(len(images))
        features = images.reshape(len(images), 4, 8, 4, 8).mean(axis=(2, 4))
        features = features.reshape(len(images), 16)
        return features, 10 * features[:, 4:8]

    return Extractor("averages", "0123", "none", network, tells_classes=True)


def images(seed, count=400):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 32, 32, 1), np.uint8)


def image_set(array, labels=None, chunk=64, name="some"):
    def load():
        parts = (array[i : i + chunk] for i in range(0, len(array), chunk))
        return len(array), labels, parts

    return ImageSet(name, None, load)


def test_figures_are_those_of_the_features():
    extractor = average_extractor()
    labels = np.arange(400) % 2
    real, fake = images(0), images(1) // 2
    figures, protocol = evaluate(
        extractor, image_set(real, labels), image_set(fake, labels), METRICS, seed=4
    )
    x, _ = extractor(real)
    y, _ = extractor(fake)

    def gaussian(features):
        return Gaussian(len(features), features.mean(0), np.cov(features, rowvar=False))

    assert figures["fid"] == pytest.approx(
        frechet_distance(gaussian(x), gaussian(y)), rel=1e-9
    )
    assert figures["intra_fid"] == pytest.approx(
        np.mean(
            [frechet_distance(gaussian(x[i::2]), gaussian(y[i::2])) for i in (0, 1)]
        ),
        rel=1e-5,
    )
    assert (figures["kid"], figures["kid_std"]) == pytest.approx(
        kernel_distance(x, y, 100, 1000, 4), rel=1e-5
    )
    assert set(figures) == {
        *("fid", "kid", "kid_std", "is", "is_std", "precision", "recall"),
        *("density", "coverage", "intra_fid"),
    }
    assert protocol == {
        "extractor": "averages",
        "extractor_sha256": "0123",
        "resizer": "none",
        "fake": "some",
        "num_fake": 400,
        "real": "some",
        "num_real": 400,
        "kid_subsets": 100,
        "kid_subset_size": 400,  # all that there are
        "kid_seed": 4,
        "is_splits": 10,
        "precision_recall_neighbors": 3,
        "density_coverage_neighbors": 5,
    }


def test_any_chunk_gives_the_same_figures():
    figures = [
        evaluate(
            average_extractor(),
            image_set(images(0), chunk=chunk),
            image_set(images(1) // 2, chunk=chunk),
            METRICS[:-1],
        )[0]
        for chunk in (1, 64, 400)
    ]
    for other in figures[1:]:
        assert other == pytest.approx(figures[0], rel=1e-9)


def test_real_features_are_computed_once(monkeypatch):
    seen = []
    extractor = average_extractor(seen)
    real = find_images("train", CONFIG, 300)
    fake = image_set(images(1, 300), chunk=300)
    first, _ = evaluate(extractor, real, fake, ["fid"])
    calls = len(seen)
    again, _ = evaluate(extractor, real, fake, ["fid"])
    assert len(seen) == calls + 3  # 300 fakes in hundreds, and no real image
    assert again == first
    # Single features were not kept; another extractor's or data's are not these.
    evaluate(extractor, real, fake, ["fid", "kid"])
    assert len(seen) == calls + 3 + 6
    evaluate(extractor._replace(digest="other"), real, fake, ["fid"])
    assert len(seen) == calls + 3 + 6 + 6
    evaluate(extractor, find_images("train", CONFIG, 301), fake, ["fid"])
    assert len(seen) == calls + 3 + 6 + 6 + 7


def test_two_times_the_same_images_are_refused():
    with pytest.raises(UserError, match="are the same images"):
        evaluate(average_extractor(), image_set(images(0)), image_set(images(0)))


@pytest.mark.parametrize(
    ("metric", "count", "message"),
    [
        ("fid", 16, "fid needs more images than the 16 features.*16 and 16 real"),
        ("precision_recall", 3, "needs 4 images or more. some: 3"),
        ("density_coverage", 5, "needs 6 images or more. some: 5"),
        ("is", 9, "is needs 10 images or more"),
        ("kid", 1, "has 1 images; two are the least"),
    ],
)
def test_too_few_images_are_a_clear_line(metric, count, message):
    with pytest.raises(UserError, match=message):
        evaluate(
            average_extractor(),
            image_set(images(0, count)),
            image_set(images(1, count)),
            [metric],
        )


def test_a_class_without_images_is_a_clear_line():
    with pytest.raises(UserError, match="1 are of class 1. Take more"):
        evaluate(
            average_extractor(),
            image_set(images(0), np.arange(400) % 2),
            image_set(images(1), np.arange(400) // 399),
            ["intra_fid"],
        )


@pytest.mark.parametrize("without", ["real", "fake"])
def test_no_classes_are_a_clear_line_before_fakes_are_looked_at(without):
    seen = []
    real = image_set(images(0), np.arange(400) % 2, name="real")
    fake = image_set(images(1), np.arange(400) % 2, name="fake")
    if without == "real":
        real = image_set(images(0), name="real")
    else:
        fake = image_set(images(1), name="fake")
    with pytest.raises(UserError, match=f"needs classes, and {without} has none"):
        evaluate(average_extractor(seen), real, fake, ["fid", "intra_fid"])
    assert not seen


def test_an_extractor_without_classes_is_a_clear_line_at_once():
    extractor = average_extractor(seen := [])._replace(tells_classes=False)
    with pytest.raises(UserError, match="needs an extractor that tells classes"):
        evaluate(extractor, image_set(images(0)), image_set(images(1)), ["fid", "is"])
    assert not seen


def test_what_is_cached_is_checked_too():
    real = find_images("train", CONFIG, 5)
    evaluate(average_extractor(), real, image_set(images(1, 5)), ["kid"])
    with pytest.raises(UserError, match="needs 6 images or more. digits: 5"):
        evaluate(average_extractor(), real, image_set(images(1)), ["density_coverage"])


def test_unknown_metrics_are_a_clear_line():
    with pytest.raises(UserError, match="no metric 'fit'. Metrics: fid, kid, is"):
        check_metrics(["fid", "fit"])
    with pytest.raises(UserError, match="no metric given"):
        check_metrics([])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": images(0)[:, :28, :28]}, r"\[N, 32, 32, 1\]. Received.*28, 28, 1"),
        ({"images": np.float32(images(0))}, "Received: float32"),
        ({"images": images(0)[:0]}, r"\[0, 32, 32, 1\]"),
        ({"pictures": images(0)}, "no array 'images'"),
    ],
)
def test_a_wrong_file_is_a_clear_line(arrays, message, tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message):
        find_images(str(path), CONFIG).load()


def test_no_file_and_no_such_split_are_a_clear_line(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        find_images(str(tmp_path / "none.npz"), CONFIG)
    with pytest.raises(UserError, match="digits has no splits"):
        find_images("test", CONFIG)
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(UserError, match="no array 'images' to read"):
        find_images(str(tmp_path / "text.npz"), CONFIG).load()


def test_files_and_folders_hold_what_sample_wrote(tmp_path):
    from PIL import Image

    array = images(0, 5)
    np.savez(tmp_path / "five.npz", images=array, labels=np.arange(5))
    (tmp_path / "five").mkdir()
    for number, image in enumerate(array):
        Image.fromarray(image[..., 0]).save(tmp_path / "five" / f"{number:06d}.png")
    for name in ("five.npz", "five"):
        count, _, chunks = find_images(str(tmp_path / name), CONFIG).load()
        assert count == 5
        np.testing.assert_array_equal(np.concatenate(list(chunks)), array)
    count, labels, _ = find_images(str(tmp_path / "five.npz"), CONFIG, 3).load()
    assert count == 3 and list(labels) == [0, 1, 2]


def test_the_images_that_are_compared_with_are_not_the_runs_to_choose():
    sets = [
        find_images("train", dataclasses.replace(CONFIG, seed=seed), 50)
        for seed in (0, 1)
    ]
    assert sets[0].known_by == sets[1].known_by
    first, second = (np.concatenate(list(s.load()[2])) for s in sets)
    np.testing.assert_array_equal(first, second)


def test_records_are_added_and_replaced_by_protocol(tmp_path):
    path = tmp_path / "evaluation" / "000005.json"
    save_figures(path, {"fid": 3.0}, {"seed": 0})
    save_figures(path, {"fid": 4.0}, {"seed": 1})
    save_figures(path, {"fid": 5.0}, {"seed": 0})
    assert json.loads(path.read_text()) == [
        {"figures": {"fid": 4.0}, "protocol": {"seed": 1}},
        {"figures": {"fid": 5.0}, "protocol": {"seed": 0}},
    ]
