import dataclasses
import hashlib
import http.server
import tarfile
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import classifier, load_extractor

CONFIG = Config(dataset="digits", image_size=32, channels=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images(count=7, channels=1):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 32, 32, channels), np.uint8)


class FakeInception(tf.Module):
    """Has the inputs and outputs of TF-GAN's Inception; features are mean colors."""

    @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3])])
    def __call__(self, images):
        means = tf.reduce_mean(images, [1, 2], keepdims=True)
        return {"pool_3": means, "logits": 100 * means[:, 0, 0]}


@pytest.fixture
def inception(tmp_path):
    path = tmp_path / "inception"
    tf.saved_model.save(FakeInception(), str(path))
    return path


def test_the_classifier_is_trained_once_and_learns_classes(monkeypatch, own_cache):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 60)
    extractor = load_extractor("classifier", CONFIG)
    features, probabilities = extractor(images())
    assert features.shape == (7, classifier.FEATURES) and features.dtype == np.float64
    assert probabilities.shape == (7, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert "classifier of digits train at 32 px, " in extractor.name
    accuracy = float(extractor.name.split("held-out accuracy ")[1].split("%")[0])
    assert 70 < accuracy <= 100

    monkeypatch.setattr(classifier, "_train", None)  # must not be called again
    again = load_extractor("classifier", CONFIG)
    assert again.digest == extractor.digest
    np.testing.assert_array_equal(again(images())[0], features)


def test_the_classifier_does_not_touch_the_runs_random_seed(monkeypatch):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 1)
    keras.utils.set_random_seed(3)
    expected = keras.random.normal((3,))
    keras.utils.set_random_seed(3)
    load_extractor("classifier", CONFIG)
    np.testing.assert_array_equal(keras.random.normal((3,)), expected)


def test_the_classifier_does_not_memorize(monkeypatch):
    random = np.random.default_rng(0)
    # Random labels: whatever is learned of them does not generalize.
    noise = random.integers(0, 256, (300, 32, 32, 1), np.uint8)
    labels = random.integers(0, 10, 300)
    monkeypatch.setattr(classifier, "load_images", lambda *_: (noise, labels))
    monkeypatch.setattr(classifier, "_VALIDATION_INTERVAL", 5)
    monkeypatch.setattr(classifier, "_PATIENCE", 20)
    monkeypatch.setattr(classifier, "_HELD_OUT", 0.5)  # more than one batch
    validations, validate = [], classifier._validate
    learned, train_on_batch = [], keras.Model.train_on_batch
    held_out = {}

    def spy(learner, images, labels):
        validations.append(validate(learner, images, labels))
        held_out.update(images=images, labels=labels)
        return validations[-1]

    def learn(model, images, labels):
        learned.append(images)
        return train_on_batch(model, images, labels)

    monkeypatch.setattr(classifier, "_validate", spy)
    monkeypatch.setattr(keras.Model, "train_on_batch", learn)
    network, card = classifier._train(CONFIG)
    losses = [loss for loss, _ in validations]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 20 // 5 < 40
    # The weights are those of the best validation, on images it was not trained on.
    scaled = classifier.scale(held_out["images"])
    logits = network(scaled)[1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    own_loss = float(loss(held_out["labels"], logits))
    assert own_loss == pytest.approx(losses[best], rel=1e-4)
    assert own_loss != pytest.approx(losses[-1], rel=1e-3)
    accuracy = (np.argmax(logits, axis=1) == held_out["labels"]).mean()
    assert card == {"accuracy": pytest.approx(accuracy), "classes": True}
    seen = {np.asarray(image).tobytes() for image in np.concatenate(learned)}
    held = {image.numpy().tobytes() for image in scaled}
    assert len(held) == 150 and not held & seen


def test_the_classifier_learns_attributes_where_there_are_no_labels(monkeypatch):
    array = images(200)
    bright = array[:, :16].mean(axis=(1, 2, 3)) > array[:, 16:].mean(axis=(1, 2, 3))
    attributes = np.stack([bright, ~bright, bright], axis=1).astype(np.int32)
    monkeypatch.setattr(
        classifier, "load_images", lambda *_: (array, np.full(200, -1, np.int32))
    )
    monkeypatch.setattr(classifier, "load_attributes", lambda *_: attributes)
    monkeypatch.setattr(classifier, "_MAX_STEPS", 2)
    network, accuracy, has_classes = classifier.load_classifier(CONFIG)
    assert not has_classes and 0 <= accuracy <= 1
    _, logits = network(classifier.scale(array[:3]))
    assert logits.shape == (3, 3)
    assert load_extractor("classifier", CONFIG)(array[:3])[1] is None


def test_a_set_without_labels_is_an_error(tmp_path):
    for number, image in enumerate(images()):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number}.png")
    config = Config(dataset="folder", data_dir=str(tmp_path), image_size=32, channels=1)
    with pytest.raises(UserError, match="no labels to train a classifier on"):
        load_extractor("classifier", config)


def test_a_classifier_with_nan_loss_is_an_error(monkeypatch):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 1)
    monkeypatch.setattr(classifier, "_validate", lambda *_: (np.nan, 0.1))
    with pytest.raises(UserError, match="could not be trained"):
        load_extractor("classifier", CONFIG)


def test_the_digest_of_a_classifier_is_that_of_its_weights(monkeypatch, tmp_path):
    network = classifier._build(CONFIG, 2)
    monkeypatch.setattr(
        classifier, "_train", lambda _: (network, {"accuracy": 0.5, "classes": True})
    )
    digests = []
    for cache, change in (("one", 0), ("two", 0), ("three", 1)):
        monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / cache))
        network.set_weights([weight + change for weight in network.get_weights()])
        digests.append(load_extractor("classifier", CONFIG).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_set_of_one_class_is_an_error(monkeypatch):
    monkeypatch.setattr(
        classifier, "load_images", lambda *_: (images(), np.zeros(7, np.int32))
    )
    with pytest.raises(UserError, match="digits has only one class"):
        load_extractor("classifier", CONFIG)


def test_each_data_set_has_its_own_classifier(monkeypatch, tmp_path):
    trained = []

    def train(config):
        trained.append(config.data_dir)
        network = classifier._build(CONFIG, 2)
        return network, {"accuracy": 0.5, "classes": True}

    monkeypatch.setattr(classifier, "_train", train)
    for folder in ("one", "two"):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            Image.new("L", (32, 32)).save(tmp_path / folder / name / "1.png")
        config = dataclasses.replace(
            CONFIG, dataset="folder", data_dir=str(tmp_path / folder)
        )
        for _ in range(2):
            classifier.load_classifier(config)
    load_extractor("classifier", CONFIG)
    assert trained == [str(tmp_path / "one"), str(tmp_path / "two"), None]


def test_features_do_not_depend_on_the_batch(inception):
    extractor = load_extractor(f"inception:{inception}", CONFIG)
    whole, _ = extractor(images(230))
    parts = [extractor(images(230)[i : i + 46])[0] for i in range(0, 230, 46)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_inception_gets_images_resized_bilinearly(tmp_path):
    class Pixel(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3])])
        def __call__(self, images):
            return {"pool_3": images[:, 100:101, 150:151], "logits": images[:, 0, 0]}

    tf.saved_model.save(Pixel(), str(tmp_path / "pixel"))
    extractor = load_extractor(f"inception:{tmp_path / 'pixel'}", CONFIG)
    features, _ = extractor(images())
    # Pixel (100, 150) of 299 lies between four pixels of 32.
    y, x = ((index + 0.5) * 32 / 299 - 0.5 for index in (100, 150))
    top, left = int(y), int(x)
    corners = images()[:, top : top + 2, left : left + 2, 0] / 127.5 - 1
    weights = np.outer([1 - y + top, y - top], [1 - x + left, x - left])
    expected = (corners * weights).sum(axis=(1, 2))
    assert np.abs(weights).max() < 0.7  # the pixel is near no corner
    np.testing.assert_allclose(features[:, 0], expected, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_inception_takes_any_number_of_channels(inception, channels):
    extractor = load_extractor(f"inception:{inception}", CONFIG)
    features, probabilities = extractor(images(channels=channels))
    colors = images(channels=channels)[..., :3].mean(axis=(1, 2)) / 127.5 - 1
    colors = np.broadcast_to(colors, (7, 3))
    # Resizing gives the pixels at the border a little more weight.
    np.testing.assert_allclose(features, colors, atol=0.01)
    assert probabilities.shape == (7, 3)
    assert "299" in extractor.resizer


def test_inception_is_downloaded_once_and_checked(inception, tmp_path, own_cache):
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "net", "w:gz") as archive:
        archive.add(inception, arcname=".")
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=served)

        def log_message(self, _, line, *__):
            requests.append(line)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        name = f"inception:http://127.0.0.1:{server.server_port}/net"
        extractor = load_extractor(name, CONFIG)
        again = load_extractor(name, CONFIG)
    finally:
        server.shutdown()
        server.server_close()
    assert len(requests) == 1 and "tf-hub-format=compressed" in requests[0]
    assert extractor.digest == again.digest
    local = load_extractor(f"inception:{inception}", CONFIG)
    np.testing.assert_array_equal(extractor(images())[0], local(images())[0])

    (model,) = (own_cache / "inception").rglob("saved_model.pb")
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(UserError, match="has changed since it was downloaded"):
        load_extractor(name, CONFIG)


def test_a_failed_download_is_an_error():
    with pytest.raises(UserError, match="could not be downloaded.*extractor: class"):
        load_extractor("inception:http://127.0.0.1:9/none", CONFIG)


def test_a_keras_model_is_an_extractor(tmp_path):
    inputs = keras.Input((32, 32, 1))
    maps = keras.layers.Conv2D(5, 3)(inputs)
    model = keras.Model(inputs, maps)
    model.save(tmp_path / "net.keras")
    extractor = load_extractor(str(tmp_path / "net.keras"), CONFIG)
    features, probabilities = extractor(images())
    expected = model(images() / 127.5 - 1).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert probabilities is None
    assert extractor.name == "net.keras"
    whole = hashlib.sha256((tmp_path / "net.keras").read_bytes()).digest()
    assert extractor.digest == hashlib.sha256(whole).hexdigest()[:16]

    model.export(tmp_path / "exported", verbose=False)
    exported = load_extractor(str(tmp_path / "exported"), CONFIG)
    np.testing.assert_allclose(exported(images())[0], expected, atol=1e-5)


def test_missing_and_wrong_extractors_are_errors(tmp_path):
    with pytest.raises(UserError, match="There is no extractor 'classifer'"):
        load_extractor("classifer", CONFIG)
    with pytest.raises(UserError, match="There is no Inception SavedModel at"):
        load_extractor(f"inception:{tmp_path / 'none'}", CONFIG)
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(UserError, match="is not a Keras model"):
        load_extractor(str(tmp_path / "text.keras"), CONFIG)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a SavedModel"):
        load_extractor(str(tmp_path / "empty"), CONFIG)
    keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Flatten()]).save(
        tmp_path / "large.keras"
    )
    with pytest.raises(UserError, match=r"the run's images, \[batch, 32, 32, 1\]"):
        load_extractor(str(tmp_path / "large.keras"), CONFIG)
