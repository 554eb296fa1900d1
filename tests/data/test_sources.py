import dataclasses
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from PIL import Image, UnidentifiedImageError

from sagan_tf.config import Config
from sagan_tf.data import load_images, with_classes
from sagan_tf.data.sources import TFDS, Digits, Folder, open_source, take_first
from sagan_tf.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tfds"
CONDITIONAL = Config(architecture="resnet", conditional=True)


def save_plain(path, value=9, size=(40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def folder_config(path, base=CONDITIONAL, **settings):
    return dataclasses.replace(
        base, dataset="folder", data_dir=str(path), image_size=32, **settings
    )


class _Portraits(tfds.core.GeneratorBasedBuilder):
    """Five gray pictures of CelebA's size with labels, attributes and other features.

    Picture i has the brightness 50 i and the label i. It is young if i is even.
    """

    name = "portraits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=9),
            "age": tfds.features.Scalar(np.int64),
            "attributes": {"Young": np.bool_, "Bald": np.bool_},
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        for i in range(5):
            image = np.full((218, 178, 3), 50 * i, np.uint8)
            attributes = {"Young": i % 2 == 0, "Bald": i > 2}
            yield i, {"image": image, "label": i, "age": 7, "attributes": attributes}


class _Words(_Portraits):
    name = "words"

    def _info(self):
        features = tfds.features.FeaturesDict({"words": tfds.features.Text()})
        return self.dataset_info_from_configs(features=features)


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """The config of a small data set of TensorFlow Datasets."""
    folder = tmp_path_factory.mktemp("tfds")
    _Portraits(data_dir=str(folder)).download_and_prepare()
    return Config(dataset="portraits", data_dir=str(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The config of a folder: a cat, two dogs, and a picture beside the classes."""
    root = tmp_path_factory.mktemp("folder")
    for number, name in enumerate(("dog/x", "cat/deep/y", "dog/z", "beside")):
        save_plain(root / f"{name}.png", number)
    return Config(dataset="folder", data_dir=str(root), image_size=32)


@pytest.fixture(scope="module")
def digits():
    return Config(image_size=32, channels=1)


@pytest.fixture
def config(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    ("config", "kind", "labels", "class_names", "splits"),
    [
        ("digits", Digits, 1797, tuple("0123456789"), {}),
        ("folder", Folder, [-1, 0, 1, 1], ("cat", "dog"), {}),
        ("portraits", TFDS, 5, tuple("012345678"), {"train": 5, "test": 5}),
    ],
    indirect=["config"],
)
def test_sources_have_the_same_methods(config, kind, labels, class_names, splits):
    source = open_source(config)
    assert type(source) is kind
    count, pictures = source.pictures()
    pictures = list(pictures)
    assert count == len(pictures) == len({picture.name for picture in pictures})
    for picture in pictures[:5]:
        with picture.open() as opened:
            assert isinstance(opened, Image.Image)
    own_labels = [picture.label for picture in pictures]
    if isinstance(labels, list):
        assert own_labels == labels
    else:
        assert count == labels and set(own_labels) <= set(range(len(class_names)))
    assert source.class_names() == class_names
    assert source.splits() == splits
    fingerprint = json.dumps(source.fingerprint())
    assert fingerprint == json.dumps(open_source(config).fingerprint())
    assert (source.attributes() is None) == (kind is not TFDS)


def test_digits_have_their_own_labels():
    images, labels = load_images(Config(image_size=32, channels=1))
    assert images.shape == (1797, 32, 32, 1) and images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == [
        *(178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
    ]
    # The nearest class mean of the other half: wrong labels would not pass.
    vectors = images.reshape(1797, -1).astype(float)
    means = np.stack([vectors[:900][labels[:900] == c].mean(0) for c in range(10)])
    distances = ((vectors[900:, None] - means) ** 2).sum(-1)
    assert (distances.argmin(1) == labels[900:]).mean() > 0.8


def test_a_folder_is_sorted_by_name_and_ignores_other_files(tmp_path):
    save_plain(tmp_path / "b.JPG", 10, (50, 30))
    save_plain(tmp_path / "a.png", 200, (33, 90))
    Image.new("L", (40, 40), 90).save(tmp_path / "c.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    images, labels = load_images(folder_config(tmp_path, Config()))
    assert images.shape == (3, 32, 32, 3)
    np.testing.assert_allclose(images.mean((1, 2, 3)), [200, 10, 90], atol=2)
    assert labels.tolist() == [-1, -1, -1]


def test_the_grids_of_runs_in_a_folder_are_no_images(tmp_path):
    save_plain(tmp_path / "cats" / "a.png")
    names = {"run": "logs", "killed": "checkpoints", "handed": "networks.npz"}
    for folder, name in names.items():
        save_plain(tmp_path / "runs" / folder / "samples" / "000000.png")
        (tmp_path / "runs" / folder / "config.json").touch()
        (tmp_path / "runs" / folder / name).mkdir()
    save_plain(tmp_path / "a" / "runs" / "pretrained" / "faces64" / "1.png")
    save_plain(tmp_path / "logs" / "b.png")  # a folder of images is no run
    assert Folder(str(tmp_path)).names == ["cats/a.png", "logs/b.png"]
    assert Folder(str(tmp_path / "runs" / "run")).names == ["samples/000000.png"]


def test_a_folder_of_a_similar_name_is_suggested(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match=r"does not exist\. Did you mean pictures\?"):
        load_images(folder_config(tmp_path / "picturs"))


def test_sub_folders_are_classes(folder):
    images, labels = load_images(folder)
    assert images[:, 0, 0, 0].tolist() == [3, 1, 0, 2]
    assert labels.tolist() == [-1, 0, 1, 1]


@pytest.mark.parametrize("files", [{}, {"a.txt": b"x"}])
def test_a_folder_needs_images(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="There are no images in"):
        load_images(folder_config(tmp_path))


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_images(folder_config(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="needs --data_dir=DIR"):
        load_images(Config(dataset="folder"))


def test_only_regular_files_are_images(folder, tmp_path):
    """Opening a pipe waits for a writer; a loop of links has no end."""
    root = tmp_path / "images"
    shutil.copytree(folder.data_dir, root)
    before = open_source(dataclasses.replace(folder, data_dir=str(root))).fingerprint()
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "cat" / "socket.jpg"))
    (root / "device.png").symlink_to("/dev/zero")
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    (root / "loop.png").symlink_to("loop.png")
    (root / "cat" / "up").symlink_to(root)
    (root / "folder.png").mkdir()
    source = open_source(dataclasses.replace(folder, data_dir=str(root)))
    assert source.skipped == [
        "broken.png (No such file or directory)",
        "cat/socket.jpg (not a regular file)",
        "device.png (not a regular file)",
        "loop.png (Too many levels of symbolic links)",
        "pipe.png (not a regular file)",
    ]
    assert source.fingerprint() == before
    count, pictures = source.pictures()
    names = [picture.name for picture in pictures]
    assert names == ["beside.png", "cat/deep/y.png", "dog/x.png", "dog/z.png"]
    assert count == 4


def test_pipes_are_not_waited_for(tmp_path):
    """In a process of its own, which can be ended if it waits."""
    save_plain(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    code = (
        "import sys\n"
        "from sagan_tf.config import Config\n"
        "from sagan_tf.data.loading import load_data\n"
        "config = Config(dataset='folder', data_dir=sys.argv[1], image_size=32)\n"
        "print(load_data(config).skipped)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        timeout=120,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "['b.png (not a regular file)']" in done.stdout, done.stderr


def test_folders_are_searched_without_recursion(tmp_path):
    """Received folders can be deeper than Python's recursion goes."""
    (tmp_path / "/".join("a" * 150)).mkdir(parents=True)
    save_plain(tmp_path / "b.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        source = Folder(str(tmp_path))
        assert source.names == ["b.png"]
    finally:
        sys.setrecursionlimit(limit)
    assert source.skipped == []


def test_files_are_read_as_images_only(tmp_path):
    """Pillow would run Ghostscript on PostScript in a file of any name."""
    save_plain(tmp_path / "a.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "b.eps", "EPS")
    (tmp_path / "b.eps").rename(tmp_path / "b.png")
    _, pictures = Folder(str(tmp_path)).pictures()
    first, second = pictures
    first.open().close()
    with pytest.raises(UnidentifiedImageError):
        second.open()


def test_control_characters_are_escaped_in_descriptions(tmp_path):
    assert Folder("a\x1b[2J\n").description == r"a\x1b[2J\n"
    save_plain(tmp_path / "a\r.png")
    os.mkfifo(tmp_path / "b\x1b[2J.png")
    assert Folder(str(tmp_path)).skipped == [r"b\x1b[2J.png (not a regular file)"]


def test_tfds_images_and_labels(portraits):
    images, labels = load_images(dataclasses.replace(portraits, crop_size=160))
    assert images.shape == (5, 64, 64, 3)
    means = images.mean((1, 2, 3))
    np.testing.assert_allclose(np.sort(means), range(0, 250, 50), atol=2)
    np.testing.assert_allclose(means, 50 * labels, atol=2)


def test_tfds_attributes_are_in_the_order_of_the_images_and_of_their_names(portraits):
    _, labels = load_images(portraits)
    attributes = open_source(portraits).attributes()
    assert attributes.dtype == np.int32
    expected = np.stack([labels > 2, labels % 2 == 0], axis=1)  # Bald, Young
    np.testing.assert_array_equal(attributes, expected)


def test_a_split_can_be_a_slice(portraits):
    config = dataclasses.replace(portraits, split="train[:2]+test[:1]")
    assert load_images(config)[0].shape == (3, 64, 64, 3)


def test_take_first_cuts_a_split(portraits):
    first = take_first(portraits, 2)
    assert first.split == "train[:2]" and len(load_images(first)[0]) == 2
    for config, num_images in (
        (portraits, 5),
        (portraits, 9),  # more than there are
        (dataclasses.replace(portraits, split="all"), 2),
        (dataclasses.replace(portraits, split="train[1:]"), 2),
        (Config(dataset="digits"), 2),
    ):
        assert take_first(config, num_images) is config


def test_a_tfds_fingerprint_holds_version_split_and_files(portraits):
    version, split, count, files = open_source(portraits).fingerprint()
    assert (version, split, count) == ("1.0.0", "train", 5)
    names, sizes, dates = zip(*files, strict=True)
    assert "features.json" in names and min(sizes) > 0
    assert all(type(date) is int and date > 1e18 for date in dates)  # nanoseconds
    cut = dataclasses.replace(portraits, split="train[:4]")
    assert open_source(cut).fingerprint()[1:] == ["train[:4]", 4, files]
    with pytest.raises(UserError, match="no split 'tset', only train"):
        open_source(dataclasses.replace(portraits, split="tset")).fingerprint()


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is missing")
def test_mnist_has_its_published_class_counts():
    config = Config(dataset="mnist", data_dir=str(SHARED), split="test", channels=1)
    images, labels = load_images(dataclasses.replace(config, image_size=32))
    assert images.shape == (10_000, 32, 32, 1)
    assert np.bincount(labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def fail(self, **kwargs):
        raise OSError("quota exceeded")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    config = Config(dataset="mnist", data_dir=str(tmp_path), image_size=32)
    with pytest.raises(UserError, match="could not be downloaded") as error:
        load_images(config)
    assert "quota exceeded" in str(error.value)
    assert "--dataset=folder" in str(error.value)
    with pytest.raises(UserError, match="mnist is not in") as error:
        load_images(config, download=False)
    assert "downloaded" not in str(error.value)
    with pytest.raises(UserError, match="celeb_a is not in"):
        open_source(dataclasses.replace(config, dataset="celeb_a")).attributes()


def test_without_a_network_nothing_is_retried(tmp_path, monkeypatch):
    """TFDS retries for more than 200 s."""
    asked, called = [], []

    def head(url, timeout):
        asked.append((url, timeout))
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder,
        "download_and_prepare",
        lambda self: called.append(self.name),
    )
    config = Config(dataset="mnist", data_dir=str(tmp_path), image_size=32)
    # What a failed download leaves is no archive.
    (tmp_path / "downloads" / "mnist" / "a.gz.tmp.5d5a").mkdir(parents=True)
    with pytest.raises(
        UserError,
        match=r"mnist is not in .* be downloaded \(ConnectionError: no network\)",
    ):
        load_images(config)
    assert len(asked) == 1 and called == []
    assert asked[0][0].startswith("https://storage.googleapis.com/")
    assert asked[0][1] <= 10
    # Archives that were downloaded before need no network.
    (tmp_path / "downloads" / "mnist" / "a.gz").write_bytes(b"x")
    open_source(config)._prepare()
    assert len(asked) == 1 and called == ["mnist"]


def test_a_broken_download_is_tried_again(tmp_path, monkeypatch):
    outcomes = [requests.ConnectionError("reset"), requests.Timeout("slow"), None]

    def download(self):
        if error := outcomes.pop(0):
            raise error

    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download)
    source = open_source(Config(dataset="mnist", data_dir=str(tmp_path)))
    source._prepare()
    assert outcomes == [] and pauses == [5, 30]
    outcomes = [requests.ConnectionError("reset")] * 3 + [None]
    with pytest.raises(UserError, match="ConnectionError: reset"):
        source._prepare()
    assert len(outcomes) == 1


def test_a_quota_page_is_recognized(tmp_path, monkeypatch):
    page = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>"

    def download(self):
        folder = tmp_path / "downloads" / "celeb_a" / "uc.tmp.1"
        folder.mkdir(parents=True)
        (folder / "uc").write_bytes(page)
        raise ValueError("wrong checksum")

    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download)
    config = Config(dataset="celeb_a", data_dir=str(tmp_path))
    with pytest.raises(UserError, match="uc is a web page, not an archive: .* Google"):
        load_images(config)
    archive = tmp_path / "img_align_celeba.zip"
    archive.write_bytes(page)
    with pytest.raises(UserError, match="celeba.zip is a web page, not an archive"):
        load_images(dataclasses.replace(config, data_dir=str(archive)))


def test_a_host_that_answers_slowly_is_no_reason_to_give_up(tmp_path, monkeypatch):
    called = []

    def head(url, timeout):
        raise requests.ReadTimeout

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda self: called.append(1)
    )
    open_source(Config(dataset="mnist", data_dir=str(tmp_path)))._prepare()
    assert len(called) == 1


@pytest.mark.parametrize(
    "name", ["huggingface:mnist", "kaggle:x", "robotics:x/y:1.2.3"]
)
def test_community_sets_are_refused(name, monkeypatch):
    monkeypatch.setattr(tfds, "builder", None)
    with pytest.raises(UserError, match=f"{name} is a community data set"):
        open_source(Config(dataset=name))


@pytest.mark.parametrize(
    "name", ["portraits", "portraits:1.0.0", "portraits:1.*.*", "Portraits"]
)
def test_versions_of_tfds_can_be_named(name, portraits):
    images, _ = load_images(dataclasses.replace(portraits, dataset=name))
    assert len(images) == 5


@pytest.mark.parametrize(
    "name", ["portraits/data_dir=x", "portraits/a=1", "a:b:c", "../x", "", "a b"]
)
def test_other_names_are_refused(name, portraits):
    with pytest.raises(UserError, match="no set named|give NAME"):
        open_source(dataclasses.replace(portraits, dataset=name))


@pytest.fixture
def received(portraits, tmp_path):
    """The config of a copy of the data set, as if somebody had sent it."""
    folder = tmp_path / "received"
    shutil.copytree(portraits.data_dir, folder)
    return dataclasses.replace(portraits, data_dir=str(folder))


def only_file(config, pattern):
    (path,) = Path(config.data_dir).rglob(pattern)
    return path


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
@pytest.mark.parametrize("dataset", ["portraits", "portraits:1.0.0", "unknown"])
def test_no_module_that_a_data_set_names_is_imported(
    key, dataset, received, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    features = only_file(received, "features.json")
    content = json.loads(features.read_text())
    content["featuresDict"]["features"]["image"] = {key: "payload.C", "content": {}}
    features.write_text(json.dumps(content))
    if dataset == "unknown":
        (Path(received.data_dir) / "portraits").rename(
            Path(received.data_dir) / "unknown"
        )
    with pytest.raises(UserError, match="names the class payload.C"):
        open_source(dataclasses.replace(received, dataset=dataset))
    assert not (tmp_path / "ran").exists()


def test_damaged_sets_of_tfds_are_errors(received):
    (shard,) = Path(received.data_dir).rglob("*train*tfrecord*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match="portraits in .* is damaged"):
        load_images(received)
    shard.unlink()
    with pytest.raises(UserError, match="portraits in .* is damaged"):
        load_images(received)
    os.mkfifo(shard)
    with pytest.raises(UserError, match="train.*: not a regular file"):
        load_images(received)
    shard.unlink()
    info = only_file(received, "dataset_info.json")
    for text in ('{"splits": 3}', "{", "[]", '{"version": {"a": []}}'):
        info.write_text(text)
        with pytest.raises(UserError, match="portraits") as error:
            load_images(received)
        assert "\n" not in str(error.value)


def test_wrong_names_of_tfds_are_errors(portraits, tmp_path):
    for changes, message in (
        ({"dataset": "mnits", "data_dir": None}, "no set named 'mnits'"),
        ({"split": "trane"}, "no split 'trane', only train, test"),
        ({"dataset": "portraits/large"}, "portraits/large"),
        ({"dataset": "words"}, "'words' has no single image"),
        ({"data_dir": str(tmp_path / "nowhere")}, "nowhere is neither a folder"),
    ):
        with pytest.raises(UserError, match=message):
            load_images(dataclasses.replace(portraits, **changes))


@pytest.mark.parametrize(
    ("dataset", "count", "names"),
    [
        ("digits", 10, ("0", "1")),
        ("cifar10", 10, ()),
        ("imagenet2012", 1000, ("n01440764",)),
        ("imagenet_resized/64x64", 1000, ()),
    ],
)
def test_classes_are_known_before_the_download(dataset, count, names):
    config = dataclasses.replace(CONDITIONAL, dataset=dataset)
    config = with_classes(config, download=False)
    assert config.num_classes == count
    assert config.classes[: len(names)] == names


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is missing")
def test_a_prepared_set_has_class_names():
    config = dataclasses.replace(CONDITIONAL, dataset="cifar10", data_dir=str(SHARED))
    assert with_classes(config).classes[:2] == ("airplane", "automobile")


def test_a_run_keeps_its_classes_when_a_folder_changes(tmp_path):
    for name in ("dog/1", "cat/2", "cat/more/3"):
        save_plain(tmp_path / f"{name}.png")
    config = with_classes(folder_config(tmp_path))
    assert config.classes == ("cat", "dog")
    assert load_images(config)[1].tolist() == [0, 0, 1]
    shutil.rmtree(tmp_path / "cat")
    assert with_classes(config) is config
    assert load_images(config)[1].tolist() == [1]
    swapped = dataclasses.replace(config, classes=("dog", "cat"))
    assert load_images(swapped)[1].tolist() == [0]
    save_plain(tmp_path / "ant" / "4.png")
    with pytest.raises(
        UserError, match="not classes of the run: ant. Its classes are cat, dog"
    ):
        load_images(config)


def test_sub_folders_of_unsupported_pictures_are_no_classes(tmp_path):
    for name in ("cat/a.heic", "dog/b.heic"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="no classes, as no picture in its sub-folders"):
        with_classes(folder_config(tmp_path))


def test_unconditional_runs_look_for_no_classes(tmp_path):
    config = Config(dataset="folder", data_dir=str(tmp_path / "nowhere"))
    assert with_classes(config) is config


@pytest.mark.parametrize(
    ("names", "message"),
    [(["cat/1.png"], "the one class cat"), (["1.png", "2.png"], "has no classes")],
)
def test_a_conditional_run_needs_two_classes(names, message, tmp_path):
    for name in names:
        save_plain(tmp_path / name)
    with pytest.raises(UserError, match=message):
        with_classes(folder_config(tmp_path))


def test_a_set_without_labels_has_no_classes():
    config = dataclasses.replace(CONDITIONAL, dataset="celeb_a")
    with pytest.raises(UserError, match="celeb_a train has no classes"):
        with_classes(config)


def test_pictures_are_no_prepared_data_set(tmp_path):
    config = Config(dataset="mnist", data_dir=str(tmp_path))
    open_source(config)  # an empty folder may be downloaded to
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="holds pictures, not mnist .*--dataset=folder"):
        open_source(config)
