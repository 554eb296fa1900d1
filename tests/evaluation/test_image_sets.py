import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from sagan_tf import evaluation
from sagan_tf.config import Config
from sagan_tf.data.sources import Source
from sagan_tf.errors import UserError
from sagan_tf.evaluation import find_images, generated_images, image_sets
from sagan_tf.evaluation.extractors import Extractor
from sagan_tf.models.builders import build_sagan
from sagan_tf.run import Run
from sagan_tf.sampling import Sampler, to_uint8

CONFIG = Config(dataset="digits", image_size=32, channels=1)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 1), np.uint8)


def load(image_set):
    """Returns all images of a set, and their labels."""
    count, labels, chunks = image_set.load()
    images = np.concatenate(list(chunks))
    assert len(images) == count
    return images, labels


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES[:, :28, :28]}, r"\[N, 32, 32, 1\]. Received.*28, 28, 1"),
        ({"images": np.float32(IMAGES)}, "Received: float32"),
        ({"images": IMAGES[:0]}, r"\[0, 32, 32, 1\]"),
        ({"images": np.uint8(3)}, r"Received: uint8 \[\]"),
        ({"pictures": IMAGES}, "has no array 'images'"),
        ({"images": IMAGES, "labels": np.arange(7)}, "label for each of its 20"),
        ({"images": IMAGES, "labels": np.ones(20)}, r"Received: float64 \[20\]"),
    ],
)
def test_a_wrong_file_is_an_error(arrays, message, tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message):
        find_images(str(path), CONFIG).load()


def test_a_missing_file_or_split_is_an_error(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        find_images(str(tmp_path / "none.npz"), CONFIG)
    with pytest.raises(UserError, match="digits has no splits"):
        find_images("test", CONFIG)


def test_a_damaged_file_is_an_error(tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(path, images=IMAGES)
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", IMAGES)
    array = (tmp_path / "array.npy").read_bytes()
    np.savez_compressed(path, images=IMAGES)
    compressed = bytearray(path.read_bytes())
    compressed[len(compressed) // 2] ^= 255
    for damaged in (
        *(b"text", b"", whole[: len(whole) // 2], whole[:-30]),
        *(array, bytes(compressed)),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is not an .npz file of arrays"):
            find_images(str(path), CONFIG).load()


def test_a_split_comes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "train" / "black.png")
    monkeypatch.chdir(tmp_path)
    assert find_images("train", CONFIG, 10).load().num_images == 10
    assert find_images("./train", CONFIG, 10).load().num_images == 1

    # So do the splits of TensorFlow Datasets that the run was not trained on.
    class Mnist(Source):
        description = "mnist test"

        def pictures(self):
            return 7, iter(())

        def splits(self):
            return {"test": 7}

    (tmp_path / "train").rename(tmp_path / "test")
    config = dataclasses.replace(CONFIG, dataset="mnist")
    monkeypatch.setattr(image_sets, "open_source", lambda config: Mnist())
    monkeypatch.setattr(image_sets, "describe_data", lambda config, source: {})
    assert find_images("test", config).name == "mnist test, at 32 px"
    assert find_images("./test", config).load().num_images == 1
    (tmp_path / "test").rename(tmp_path / "pictures")
    assert find_images("pictures", config).load().num_images == 1


def test_other_data_have_another_fingerprint(tmp_path):
    def fingerprint(**settings):
        config = Config(
            dataset="folder",
            data_dir=str(tmp_path),
            architecture="resnet",
            image_size=32,
            **settings,
        )
        return find_images("train", config).fingerprint

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (32, 32)).save(tmp_path / name / "1.bmp")
    plain = fingerprint()
    named = {"conditional": True, "classes": ("a", "b")}
    assert fingerprint() == plain == fingerprint(**named)
    named["classes"] = ("b", "a")  # the labels differ
    assert fingerprint(**named) != plain
    os.utime(tmp_path / "b" / "1.bmp", (1, 1))  # another file of the same size
    assert fingerprint() != plain
    assert fingerprint(crop_size=16) != fingerprint()


@pytest.fixture(scope="module")
def model():
    """A `SAGAN` whose generator differs from its EMA generator."""
    config = dataclasses.replace(
        CONFIG,
        architecture="resnet",
        conditional=True,
        classes=("a", "b"),
        width=4,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(8,),
    )
    model = build_sagan(config)
    for variable in model.generator.trainable_variables:
        variable.assign(variable + 0.1)
    return model


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model.ema_generator)


def test_generated_images_are_those_of_the_sampler(sampler):
    def generate(**settings):
        return load(generated_images(sampler, "EMA generator", 5, 6, **settings))

    images, labels = generate(seed=3, truncation=0.5)
    np.testing.assert_array_equal(labels, sampler.labels(6, 3))
    np.testing.assert_array_equal(images, sampler.generate(6, seed=3, truncation=0.5))
    assert (images != generate(seed=3)[0]).any()
    assert (images != generate(seed=4, truncation=0.5)[0]).any()
    assert generated_images(sampler, "EMA generator", 5, 6, 3, 0.5).name == (
        "EMA generator at step 5, seed 3, truncation 0.5"
    )


def test_chunks_do_not_change_generated_images(sampler, monkeypatch):
    monkeypatch.setattr(image_sets, "CHUNK", 4)
    image_set = generated_images(sampler, "EMA generator", 5, 6, 3)
    assert [len(chunk) for chunk in image_set.load().chunks] == [4, 2]
    np.testing.assert_array_equal(load(image_set)[0], sampler.generate(6, 3))


def test_a_run_evaluates_the_ema_or_the_raw_generator(
    model, sampler, tmp_path, monkeypatch
):
    seen = []

    def network(images):
        seen.append(to_uint8(images)[:6].numpy().astype(int))
        return np.asarray(images).reshape(len(images), -1), None

    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    extractor = Extractor("pixels", "pixels", "0123", "none", network)
    monkeypatch.setattr(evaluation, "load_extractor", lambda *_: extractor)
    run = Run(dataclasses.replace(CONFIG, workdir=str(tmp_path)), model)
    ema_weights = model.ema_generator.get_weights()
    inputs = sampler.latents(6, 3, 0.5), sampler.labels(6, 3)
    expected = {}
    for network_name, generator in (
        ("EMA generator", model.ema_generator),
        ("raw generator", model.generator),
    ):
        ema = generator is model.ema_generator
        _, protocol, _, _ = run.evaluate(
            ["kernel"], "pixels", 6, 6, seed=3, truncation=0.5, ema=ema, force=True
        )
        assert protocol["fake"] == f"{network_name} at step 0, seed 3, truncation 0.5"
        expected[network_name] = to_uint8(generator(*inputs))
        assert np.abs(seen[-1] - expected[network_name]).max() <= 1
    assert np.abs(seen[-1] - expected["EMA generator"]).max() > 3
    for before, after in zip(ema_weights, model.ema_generator.weights, strict=True):
        np.testing.assert_array_equal(before, after)


def test_files_and_folders_hold_what_sample_wrote(tmp_path):
    images = IMAGES[:5]
    np.savez(tmp_path / "five.npz", images=images, labels=np.arange(5))
    (tmp_path / "five").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "five" / f"{number:06d}.png")
    for name in ("five.npz", "five"):
        loaded, _ = load(find_images(str(tmp_path / name), CONFIG))
        np.testing.assert_array_equal(loaded, images)
    _, labels = load(find_images(str(tmp_path / "five.npz"), CONFIG, 3))
    # In their order, but not the first, which could all be of one class.
    assert len(labels) == 3 and list(labels) == sorted(set(labels)) != [0, 1, 2]


def test_reference_images_do_not_depend_on_the_runs_seed():
    sets = [
        find_images("train", dataclasses.replace(CONFIG, seed=seed), 50)
        for seed in (0, 1)
    ]
    assert sets[0].fingerprint == sets[1].fingerprint
    np.testing.assert_array_equal(load(sets[0])[0], load(sets[1])[0])
