import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import sources
from sagan_tf.data.sources import (
    describe_source,
    load_images,
    take_first,
    with_classes,
)
from sagan_tf.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tfds"


def plain(value, size=(40, 40)):
    return Image.new("RGB", size, (value, value, value))


def folder_config(path, **settings):
    return Config(dataset="folder", data_dir=str(path), image_size=32, **settings)


def test_digits_are_real():
    images, labels = load_images(Config(image_size=32, channels=1))
    assert images.shape == (1797, 32, 32, 1) and images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    # Nearest class mean, of the other half: only images with their own labels pass.
    vectors = images.reshape(1797, -1).astype(float)
    means = np.stack([vectors[:900][labels[:900] == c].mean(0) for c in range(10)])
    distances = ((vectors[900:, None] - means) ** 2).sum(-1)
    assert (distances.argmin(1) == labels[900:]).mean() > 0.8


def test_folder_of_mixed_pictures_in_order_of_names(tmp_path):
    plain(10, (50, 30)).save(tmp_path / "b.JPG")
    plain(200, (33, 90)).save(tmp_path / "a.png")
    plain(90).convert("L").save(tmp_path / "c.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    images, labels = load_images(folder_config(tmp_path))
    assert images.shape == (3, 32, 32, 3)
    np.testing.assert_allclose(images.mean((1, 2, 3)), [200, 10, 90], atol=2)
    assert labels.tolist() == [-1, -1, -1]


def test_sub_folders_are_classes(tmp_path):
    for name, value in (("dog/x", 1), ("cat/deep/y", 2), ("dog/z", 3)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        plain(value).save(tmp_path / f"{name}.png")
    images, labels = load_images(folder_config(tmp_path))
    assert images[:, 0, 0, 0].tolist() == [2, 1, 3]
    assert labels.tolist() == [0, 1, 1]


def test_unreadable_files_are_skipped_counted_and_named(tmp_path, caplog, monkeypatch):
    plain(5).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.gif").write_text("<html>")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    plain(5, (200, 200)).save(tmp_path / "bomb.png")
    with caplog.at_level(logging.WARNING):
        images, _ = load_images(folder_config(tmp_path))
    assert len(images) == 1
    assert "Skipped 4 unreadable" in caplog.text
    for name in ("cut.png", "empty.jpg", "text.gif", "bomb.png"):
        assert name in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There are no images in"),
        ({"a.txt": b"x"}, "There are no images in"),
        ({"a.png": b"x", "b.png": b"y"}, "None of the 2 images"),
    ],
)
def test_a_folder_without_pictures_is_an_error(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_images(folder_config(tmp_path))


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        load_images(folder_config(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="needs --data_dir=DIR"):
        load_images(Config(dataset="folder"))


class _Portraits(tfds.core.GeneratorBasedBuilder):
    """Five grey pictures of CelebA's size, with a class and with other features."""

    name = "portraits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=9),
            "age": tfds.features.Scalar(np.int64),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        for i in range(5):
            image = np.full((218, 178, 3), 50 * i, np.uint8)
            yield i, {"image": image, "label": i, "age": 7}


class _Words(_Portraits):
    name = "words"

    def _info(self):
        features = tfds.features.FeaturesDict({"words": tfds.features.Text()})
        return self.dataset_info_from_configs(features=features)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a small set of TensorFlow Datasets in it."""
    folder = tmp_path_factory.mktemp("tfds")
    _Portraits(data_dir=str(folder)).download_and_prepare()
    return str(folder)


def test_a_set_of_tensorflow_datasets(prepared):
    images, labels = load_images(
        Config(dataset="portraits", data_dir=prepared, crop_size=160)
    )
    assert images.shape == (5, 64, 64, 3)
    np.testing.assert_allclose(
        np.sort(images.mean((1, 2, 3))), range(0, 250, 50), atol=2
    )
    np.testing.assert_allclose(images.mean((1, 2, 3)), 50 * labels, atol=2)


def test_a_split_may_be_a_slice(prepared):
    config = Config(dataset="portraits", data_dir=prepared, split="train[:2]+test[:1]")
    assert load_images(config)[0].shape == (3, 64, 64, 3)


def test_the_first_are_taken_where_they_can_be(prepared):
    config = Config(dataset="portraits", data_dir=prepared)
    first = take_first(config, 2)
    assert first.split == "train[:2]" and len(load_images(first)[0]) == 2
    for others, number in (
        (config, 5),
        (config, 9),  # there are no more
        (dataclasses.replace(config, split="all"), 2),
        (dataclasses.replace(config, split="train[1:]"), 2),
        (Config(dataset="digits"), 2),
    ):
        assert take_first(others, number) is others


def test_a_set_is_described_by_what_its_images_depend_on(prepared):
    config = Config(dataset="portraits", data_dir=prepared)
    described = describe_source(config)
    assert described[0] == "1.0.0" and described[2:] == ["train", 5]
    assert describe_source(dataclasses.replace(config, split="train[:4]"))[3] == 4
    with pytest.raises(UserError, match="no split 'tset', only train"):
        describe_source(dataclasses.replace(config, split="tset"))


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_mnist_itself():
    config = Config(dataset="mnist", data_dir=str(SHARED), split="test", channels=1)
    images, labels = load_images(dataclasses.replace(config, image_size=32))
    assert images.shape == (10_000, 32, 32, 1)
    assert np.bincount(labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_a_set_that_does_not_download_says_what_to_do(tmp_path, monkeypatch):
    def fail(self, **kwargs):
        raise OSError("quota exceeded")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    config = Config(dataset="mnist", data_dir=str(tmp_path), image_size=32)
    with pytest.raises(UserError, match="could not be downloaded") as error:
        load_images(config)
    assert "quota exceeded" in str(error.value)
    assert "--dataset=folder" in str(error.value)


def test_sets_that_cannot_be_had(prepared, tmp_path):
    with pytest.raises(UserError, match="no set named 'mnits'"):
        load_images(Config(dataset="mnits"))
    config = Config(dataset="portraits", data_dir=prepared, split="trane")
    with pytest.raises(UserError, match="no split 'trane', only train, test"):
        load_images(config)
    with pytest.raises(UserError, match="portraits/large"):
        load_images(Config(dataset="portraits/large", data_dir=prepared))
    with pytest.raises(UserError, match="'words' has no single image"):
        load_images(Config(dataset="words", data_dir=str(tmp_path)))


def test_images_too_many_for_memory_are_kept_on_disk(tmp_path, monkeypatch):
    class Memory:
        total = 1000

    plain(7).save(tmp_path / "a.png")
    monkeypatch.setattr(sources.psutil, "virtual_memory", Memory)
    images, _ = load_images(folder_config(tmp_path))
    assert isinstance(images, np.memmap)
    assert (images == 7).all()

    class Disk:
        free = 1000

    monkeypatch.setattr(sources.shutil, "disk_usage", lambda path: Disk)
    with pytest.raises(UserError, match="Set TMPDIR"):
        load_images(folder_config(tmp_path))


CONDITIONAL = Config(architecture="resnet", conditional=True)


@pytest.mark.parametrize(
    ("dataset", "count", "names"),
    [
        ("digits", 10, ("0", "1")),
        ("cifar10", 10, ()),
        ("imagenet2012", 1000, ("n01440764",)),
        ("imagenet_resized/64x64", 1000, ()),
    ],
)
def test_classes_are_known_before_anything_is_downloaded(dataset, count, names):
    config = dataclasses.replace(CONDITIONAL, dataset=dataset)
    config = with_classes(config, download=False)
    assert config.num_classes == count
    assert config.classes[: len(names)] == names


def test_names_of_a_prepared_set():
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not there")
    config = dataclasses.replace(CONDITIONAL, dataset="cifar10", data_dir=str(SHARED))
    assert with_classes(config).classes[:2] == ("airplane", "automobile")


def test_classes_of_a_folder_are_its_sub_folders(tmp_path):
    for name in ("dog/1.png", "cat/2.png", "cat/more/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        plain(9).save(tmp_path / name)
    config = dataclasses.replace(
        CONDITIONAL, dataset="folder", data_dir=str(tmp_path), image_size=32
    )
    config = with_classes(config)
    assert config.classes == ("cat", "dog")
    assert load_images(config)[1].tolist() == [0, 0, 1]
    # Once they are known they stay, and a folder is the class of its name.
    shutil.rmtree(tmp_path / "cat")
    assert with_classes(config) is config
    assert load_images(config)[1].tolist() == [1]
    swapped = dataclasses.replace(config, classes=("dog", "cat"))
    assert load_images(swapped)[1].tolist() == [0]
    (tmp_path / "ant").mkdir()
    plain(9).save(tmp_path / "ant" / "4.png")
    with pytest.raises(
        UserError, match="none of the run's classes: ant. Its.*cat, dog"
    ):
        load_images(config)


def test_unconditional_runs_look_for_no_classes(tmp_path):
    config = Config(dataset="folder", data_dir=str(tmp_path / "nowhere"))
    assert with_classes(config) is config


@pytest.mark.parametrize(
    ("names", "message"),
    [(["cat/1.png"], "the one class cat"), (["1.png", "2.png"], "has no classes")],
)
def test_fewer_than_two_classes_are_refused(names, message, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        plain(9).save(tmp_path / name)
    config = dataclasses.replace(CONDITIONAL, dataset="folder", data_dir=str(tmp_path))
    with pytest.raises(UserError, match=message):
        with_classes(config)


def test_a_set_without_labels_has_no_classes():
    config = dataclasses.replace(CONDITIONAL, dataset="celeb_a")
    with pytest.raises(UserError, match="celeb_a has no classes"):
        with_classes(config)
