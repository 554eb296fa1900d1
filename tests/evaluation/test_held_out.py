import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import load_images
from sagan_tf.data.sources import Digits, Folder, Source
from sagan_tf.errors import UserError
from sagan_tf.evaluation import classifier, find_real_images, image_sets
from sagan_tf.evaluation.held_out import (
    count_held_out,
    find_others,
    held_out_split,
    load_held_out,
    overlaps,
)

CONFIG = Config(dataset="digits", image_size=32, channels=1)


def load(image_set):
    _, labels, chunks = image_set.load()
    return np.concatenate(list(chunks)), labels


def as_set(images):
    return {image.tobytes() for image in images}


@pytest.fixture
def photos(tmp_path):
    """Sixty different images in two classes; the first one is there twice."""
    random = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return dataclasses.replace(
        CONFIG, dataset="folder", data_dir=str(tmp_path / "photos")
    )


def test_a_tenth_is_held_out_and_at_most_ten_thousand():
    counts = {n: count_held_out(n) for n in (0, 2, 3, 10, 1797, 60_000, 1_281_167)}
    assert counts == {
        **{0: 0, 2: 0, 3: 1, 10: 2},
        **{1797: 179, 60_000: 6000, 1_281_167: 10_000},
    }


def test_the_held_out_part_does_not_depend_on_the_runs_seed():
    parts = [load_held_out(dataclasses.replace(CONFIG, seed=s)) for s in (0, 1)]
    np.testing.assert_array_equal(parts[0].images, parts[1].images)
    assert len(parts[0].images) == 179 and len(np.unique(parts[0].labels)) == 10
    images, labels = load_images(CONFIG)
    by_pixels = {
        image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }
    for image, label in zip(*parts[0], strict=True):
        assert by_pixels[image.tobytes()] == label


def test_the_reference_leaves_out_what_is_held_out():
    reference, held_out = find_real_images("train", CONFIG, 10_000, 10_000)
    assert (reference.num_images, held_out.num_images) == (1618, 179)
    assert reference.name == "digits, at 32 px, without held-out images"
    assert held_out.name == "held-out images of digits, at 32 px"
    real, labels = load(reference)
    kept, _ = load(held_out)
    assert len(labels) == len(real) == 1618 and not as_set(real) & as_set(kept)
    assert as_set(real) | as_set(kept) == as_set(load_images(CONFIG)[0])
    np.testing.assert_array_equal(reference.labels(1618), labels)

    reference, held_out = find_real_images("train", CONFIG, 500, 100)
    real, labels = load(reference)
    assert len(real) == 500 and len(load(held_out)[0]) == 100
    assert not as_set(real) & as_set(kept)
    np.testing.assert_array_equal(reference.labels(500), labels)
    # Not the first 500, which could all be of one class.
    assert not as_set(real) <= as_set(load_images(CONFIG)[0][:900])


def test_copies_and_unreadable_files_are_no_way_around(photos):
    held_out = load_held_out(photos).images
    root = photos.data_dir
    for name in ("a/000.png", "b/copy.png"):
        Image.fromarray(held_out[0][..., 0]).save(f"{root}/{name}")
    with open(f"{root}/a/001.png", "w") as file:
        file.write("no image")
    reference, held_out = find_real_images("train", photos, 10_000, 10_000)
    real, kept = load(reference)[0], load(held_out)[0]
    assert not as_set(real) & as_set(kept)
    assert as_set(real) | as_set(kept) == as_set(load_images(photos)[0])


def test_the_classifier_never_learns_from_what_is_held_out(monkeypatch):
    task, rest, held_out = classifier.load_examples(CONFIG)
    assert task == "classes"
    assert as_set(held_out.images) == as_set(load_held_out(CONFIG).images)
    assert not as_set(rest.images) & as_set(held_out.images)

    learned, validated = [], []
    monkeypatch.setattr(classifier, "_MAX_STEPS", 3)
    monkeypatch.setattr(classifier, "_shift", lambda images, _: images)
    monkeypatch.setattr(
        keras.Model,
        "train_on_batch",
        lambda _, images, targets: learned.append(np.asarray(images)),
    )
    monkeypatch.setattr(
        classifier,
        "_compute_loss",
        lambda _, __, examples: validated.append(examples.images) or 1.0,
    )
    monkeypatch.setattr(classifier, "LEAST_SKILL", -10.0)  # nothing is learned
    classifier._train_best(CONFIG)
    seen = as_set(np.concatenate(learned))
    assert len(seen) > 250
    assert not seen & as_set(classifier.scale(held_out.images).numpy())
    assert not as_set(np.concatenate(validated)) & as_set(held_out.images)


class Splits(Source):
    def __init__(self, *names):
        self.names = names

    def splits(self):
        return {name: 10 for name in self.names}


def test_a_test_split_is_held_out_if_it_is_not_used():
    every = Splits("train", "test", "validation")
    assert held_out_split(every, "train+train") == "test"
    assert held_out_split(every, "train[:80%]+test[:10]") == "validation"
    assert held_out_split(every, "train+test[:10]+validation") is None
    assert held_out_split(every, "all") is None
    assert held_out_split(Splits("train", "validation"), "train") == "validation"
    assert held_out_split(Splits("train"), "train") is None
    assert held_out_split(Digits(), "train") is None
    assert overlaps("train[:80%]", "test+train[80%:]")
    assert not overlaps("train", "test")


def test_with_a_test_split_the_reference_is_the_whole_training_split(monkeypatch):
    class Digital(Digits):
        def __init__(self, split):
            self.description = f"mnist {split}"

        def splits(self):
            return {"train": 1797, "test": 1797}

    monkeypatch.setattr(image_sets, "open_source", lambda config: Digital(config.split))
    config = dataclasses.replace(CONFIG, dataset="mnist")
    reference, held_out = find_real_images("train", config, 10_000, 50)
    assert (reference.name, reference.num_images) == ("mnist train, at 32 px", 1797)
    assert (held_out.name, held_out.num_images) == ("mnist test, at 32 px", 50)
    # A reference that is the test split is not compared with itself.
    reference, held_out = find_real_images("test", config, 10_000, 50)
    assert reference.name == "mnist test, at 32 px"
    assert held_out.name == "held-out images of mnist train, at 32 px"


def test_a_folder_is_listed_once(photos, monkeypatch):
    listed = []
    found = Folder._found.func

    def spy(folder):
        listed.append(folder.root)
        return found(folder)

    spied = type(Folder._found)(spy)
    spied.__set_name__(Folder, "_found")
    monkeypatch.setattr(Folder, "_found", spied)
    image_sets.find_images("train", photos)
    assert len(listed) == 1


def test_too_few_images_for_a_classifier_are_an_error(tmp_path):
    Image.new("L", (32, 32)).save(tmp_path / "1.png")
    config = dataclasses.replace(CONFIG, dataset="folder", data_dir=str(tmp_path))
    with pytest.raises(UserError, match="too few different images .*: 1 that"):
        classifier.load_examples(config)


def test_images_are_compared_by_their_pixels():
    images = np.arange(5, dtype=np.uint8).repeat(4).reshape(5, 2, 2, 1)
    np.testing.assert_array_equal(find_others(images, images[[3, 1, 1]]), [0, 2, 4])
