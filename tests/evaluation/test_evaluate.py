import dataclasses
import hashlib
import json
import os

import numpy as np
import pytest
from sagan_tf.evaluation.statistics import Gaussian

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    check_metrics,
    evaluate,
    find_images,
    generated_images,
    image_sets,
    save_figures,
)
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.evaluation.image_sets import ImageSet
from sagan_tf.evaluation.metrics import frechet_distance, kernel_distance
from sagan_tf.models.builders import build_sagan
from sagan_tf.models.sagan import to_uint8

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
        kernel_distance(x, y, 100, 400, 4), rel=1e-5
    )
    assert set(figures) == {
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
        "num_fake": 400,
        "real": "some",
        "num_real": 400,
        "kid_subsets": 100,
        "kid_subset_size": 400,  # all that there are
        "kid_seed": 4,
        "is_splits": 10,
        "is_seed": 4,
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
    for number, other in enumerate(({"digest": "other"}, {"resizer": "other"})):
        evaluate(extractor._replace(**other), real, fake, ["fid"])
        assert len(seen) == calls + 3 + 6 + 6 * (number + 1)
    evaluate(extractor, find_images("train", CONFIG, 301), fake, ["fid"])
    assert len(seen) == calls + 3 + 6 + 12 + 7


def test_the_order_of_images_is_nothing_to_the_inception_score():
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


def test_two_times_the_same_images_are_refused():
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
def test_too_few_images_are_a_clear_line(metric, count, message):
    with pytest.raises(UserError, match=message):
        evaluate(
            average_extractor(),
            image_set(images(0, count)),
            image_set(images(1, count)),
            [metric],
        )


def test_too_few_images_of_a_class_are_a_clear_line_before_fakes_are_looked_at():
    seen = []
    real = image_set(images(0), np.arange(400) // 390, name="real")
    fake = image_set(images(1), np.arange(400) % 2, chunk=100)
    with pytest.raises(UserError, match="images of class 1 than the 16.* real: 10. Ta"):
        evaluate(average_extractor(seen), real, fake, ["fid", "intra_fid"])
    assert len(seen) == 1  # a first look at the real ones says how many features


def test_a_class_without_images_is_a_clear_line():
    with pytest.raises(UserError, match="0 are of class 1. Take more"):
        evaluate(
            average_extractor(),
            image_set(images(0), np.arange(400) % 2),
            image_set(images(1), np.zeros(400, int)),
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
    with pytest.raises(UserError, match="6 images or more. digits, at 32 px: 5"):
        evaluate(average_extractor(), real, image_set(images(1)), ["density_coverage"])
    with pytest.raises(UserError, match="fid needs more images than.* at 32 px: 5"):
        evaluate(average_extractor(), real, image_set(images(1)), ["fid"])


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
        ({"images": np.uint8(3)}, r"Received: uint8 \[\]"),
        ({"pictures": images(0)}, "no array 'images'"),
        ({"images": images(0), "labels": np.arange(7)}, "label for each of its 400"),
        ({"images": images(0), "labels": np.ones(400)}, r"Received: float64 \[400\]"),
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


def test_a_damaged_file_is_a_clear_line(tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(path, images=images(0, 5))
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", images(0, 5))
    array = (tmp_path / "array.npy").read_bytes()
    np.savez_compressed(path, images=images(0, 5))
    compressed = bytearray(path.read_bytes())
    compressed[len(compressed) // 2] ^= 255
    for damaged in (
        *(b"text", b"", whole[: len(whole) // 2], whole[:-30]),
        *(array, bytes(compressed)),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="no array 'images' to read"):
            find_images(str(path), CONFIG).load()


def test_a_split_is_not_taken_for_a_folder_of_its_name(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "train").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "train" / "black.png")
    monkeypatch.chdir(tmp_path)
    assert find_images("train", CONFIG, 10).load()[0] == 10
    assert find_images("./train", CONFIG, 10).load()[0] == 1
    # So, too, the splits of TensorFlow Datasets that were not trained on.
    (tmp_path / "train").rename(tmp_path / "test")
    config = dataclasses.replace(CONFIG, dataset="mnist")
    monkeypatch.setattr(image_sets, "list_splits", lambda config: {"test": 7})
    monkeypatch.setattr(image_sets, "describe_data", lambda config: {})
    assert find_images("test", config).name == "mnist test, at 32 px"
    assert find_images("./test", config).load()[0] == 1
    (tmp_path / "test").rename(tmp_path / "pictures")
    assert find_images("pictures", config).load()[0] == 1


def test_other_data_are_known_as_others(tmp_path):
    from PIL import Image

    def known_by(**settings):
        config = Config(
            dataset="folder",
            data_dir=str(tmp_path),
            architecture="resnet",
            image_size=32,
            **settings,
        )
        return find_images("train", config).known_by

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (32, 32)).save(tmp_path / name / "1.bmp")
    plain = known_by()
    named = {"conditional": True, "classes": ("a", "b")}
    assert known_by() == plain == known_by(**named)
    named["classes"] = ("b", "a")  # the labels are others
    assert known_by(**named) != plain
    path = tmp_path / "b" / "1.bmp"
    os.utime(path, (1, 1))  # another of the same size
    assert known_by() != plain
    assert known_by(crop_size=16) != known_by()


def generated(model, **settings):
    _, labels, chunks = generated_images(model, 5, 6, **settings).load()
    return np.concatenate(list(chunks)), labels


def test_generated_images_are_of_the_seed_truncation_and_generator_asked_for():
    model = build_sagan(
        dataclasses.replace(
            CONFIG,
            architecture="resnet",
            conditional=True,
            classes=("a", "b"),
            width=4,
            generator_attention_resolutions=(8,),
            discriminator_attention_resolutions=(8,),
        )
    )
    for variable in model.generator.trainable_variables:
        variable.assign(variable + 0.1)
    array, labels = generated(model, seed=3, truncation=0.5)
    np.testing.assert_array_equal(labels, model.sample_labels(6, 3))
    np.testing.assert_array_equal(array, model.generate(6, seed=3, truncation=0.5))
    assert (array != generated(model, seed=3)[0]).any()
    assert (array != generated(model, seed=4, truncation=0.5)[0]).any()

    averaged = model.ema_generator.get_weights()
    raw, _ = generated(model, seed=3, truncation=0.5, ema=False)
    latents = model.sample_latents(6, 3, 0.5)
    expected = to_uint8(model.generator(latents, labels, training=False))
    assert np.abs(raw.astype(int) - expected).max() <= 1
    assert np.abs(array.astype(int) - expected).max() > 3
    # The average is as it was.
    for before, after in zip(averaged, model.ema_generator.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert generated_images(model, 5, 6, 3, 0.5, ema=False).name == (
        "raw generator at step 5, seed 3, truncation 0.5"
    )


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
    # In their order, but not the first: class by class these could be all of one.
    assert count == 3 and list(labels) == sorted(set(labels)) != [0, 1, 2]


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
