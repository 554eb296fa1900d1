import dataclasses
import hashlib
import http.server
import json
import socket
import tarfile
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import (
    choose_extractor,
    classifier,
    extractors,
    load_extractor,
)
from sagan_tf.evaluation.held_out import HeldOut, load_held_out

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
    assert features.shape == (7, 352) and features.dtype == np.float64
    assert probabilities.shape == (7, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert extractor.short_name == "classifier"
    assert "classifier of digits train at 32 px, trained on classes" in extractor.name
    held_out = load_held_out(CONFIG)
    _, predicted = extractor(held_out.images)
    accuracy = (predicted.argmax(axis=1) == held_out.labels).mean()
    assert 0.7 < accuracy == pytest.approx(extractor.accuracy, abs=0.006)
    most_frequent = np.bincount(held_out.labels).max()
    assert extractor.chance == pytest.approx(most_frequent / len(held_out.labels))
    assert f"accuracy {extractor.accuracy:.1%}, chance 14.0%" in extractor.name

    monkeypatch.setattr(classifier, "_train_best", None)  # must not be called again
    again = load_extractor("classifier", CONFIG)
    assert again[:4] == extractor[:4] and again[5:] == extractor[5:]
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
    own = HeldOut(255 - noise[:30], labels[:30])
    monkeypatch.setattr(classifier, "load_images", lambda *_: (noise, labels))
    monkeypatch.setattr(classifier, "load_held_out", lambda *_: own)
    monkeypatch.setattr(classifier, "_VALIDATION_INTERVAL", 5)
    monkeypatch.setattr(classifier, "_PATIENCE", 20)
    monkeypatch.setattr(classifier, "_VALIDATION", 0.5)  # more than one batch
    monkeypatch.setattr(classifier, "_shift", lambda images, _: images)
    validations, validate = [], classifier._compute_loss
    learned, train_on_batch = [], keras.Model.train_on_batch
    validated = {}

    def spy(network, loss, examples):
        validations.append(validate(network, loss, examples))
        validated.update(images=examples.images, labels=examples.targets)
        return validations[-1]

    def learn(model, images, labels):
        learned.append(images)
        return train_on_batch(model, images, labels)

    monkeypatch.setattr(classifier, "LEAST_SKILL", -10.0)  # nothing can be learned
    monkeypatch.setattr(classifier, "_compute_loss", spy)
    monkeypatch.setattr(keras.Model, "train_on_batch", learn)
    trained = classifier._train_best(CONFIG)
    losses = validations
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 20 // 5 < 40
    # The weights are those of the best validation, on images it was not trained on.
    scaled = classifier.scale(validated["images"])
    logits = trained.network(scaled)[1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    own_loss = float(loss(validated["labels"], logits))
    assert own_loss == pytest.approx(losses[best], rel=1e-4)
    assert own_loss != pytest.approx(losses[-1], rel=1e-3)
    seen = {np.asarray(image).tobytes() for image in np.concatenate(learned)}
    held = {image.numpy().tobytes() for image in scaled}
    assert len(held) == 150 and not held & seen
    # The accuracy is that on images which are no part of the validation either.
    logits = trained.network(classifier.scale(own.images))[1]
    accuracy = (np.argmax(logits, axis=1) == own.labels).mean()
    assert trained.task == "classes"
    assert trained.accuracy == pytest.approx(accuracy)
    assert trained.chance == np.bincount(own.labels).max() / 30


def test_the_classifier_learns_attributes_where_there_are_no_labels(monkeypatch):
    array = images(200)
    bright = array[:, :16].mean(axis=(1, 2, 3)) > array[:, 16:].mean(axis=(1, 2, 3))
    attributes = np.stack([bright, ~bright, bright], axis=1).astype(np.int32)
    none = np.full(200, -1, np.int32)
    own = HeldOut(array[:20], none[:20])
    monkeypatch.setattr(classifier, "load_images", lambda *_: (array, none))
    monkeypatch.setattr(classifier, "load_held_out", lambda *_: own)
    monkeypatch.setattr(classifier, "load_attributes", lambda *_: attributes)
    monkeypatch.setattr(
        classifier, "load_held_out_attributes", lambda *_: attributes[:20]
    )
    monkeypatch.setattr(classifier, "_MAX_STEPS", 2)
    monkeypatch.setattr(classifier, "LEAST_SKILL", -10.0)  # two steps learn nothing
    trained = classifier.load_classifier(CONFIG)
    assert trained.task == "attributes" and 0 <= trained.accuracy <= 1
    share = bright[:20].mean()
    assert trained.chance == pytest.approx(max(share, 1 - share))
    _, logits = trained.network(classifier.scale(array[:3]))
    assert logits.shape == (3, 3)
    extractor = load_extractor("classifier", CONFIG)
    assert extractor(array[:3])[1] is None and extractor.short_name == "classifier"


def test_images_without_any_attribute_are_not_learned(monkeypatch):
    array = images(200)
    attributes = np.tile([1, 0, 0], (200, 1))
    attributes[::3] = 0
    own = HeldOut(array[:20], np.full(20, -1))
    monkeypatch.setattr(classifier, "load_images", lambda *_: (array, np.full(200, -1)))
    monkeypatch.setattr(classifier, "load_held_out", lambda *_: own)
    monkeypatch.setattr(classifier, "load_attributes", lambda *_: attributes)
    monkeypatch.setattr(
        classifier, "load_held_out_attributes", lambda *_: attributes[:20]
    )
    task, rest, held_out = classifier.load_examples(CONFIG)
    assert task == "attributes"
    known = np.flatnonzero(attributes.any(axis=1))
    np.testing.assert_array_equal(held_out.images, array[known[known < 20]])
    np.testing.assert_array_equal(rest.images, array[known[known >= 20]])
    assert (
        rest.targets.shape == (len(rest.images), 3) and rest.targets.any(axis=1).all()
    )
    attributes[:] = 0
    task, rest, _ = classifier.load_examples(CONFIG)
    assert task == "rotations" and len(rest.images) == 180


def test_rare_attributes_do_not_count():
    random = np.random.default_rng(0)
    shares = np.array([0.5, 0.3, 0.01, 0.97])
    targets = (random.random((1000, 4)) < shares).astype(int)
    logits = np.tile([1.0, -1.0, -1.0, 1.0], (1000, 1))  # the most frequent
    accuracy, chance = classifier.measure_accuracy(logits, targets)
    means = targets.mean(axis=0)
    assert accuracy == pytest.approx((means[0] + 1 - means[1]) / 2)
    assert chance == pytest.approx(np.maximum(means, 1 - means)[:2].mean())
    # If all are rare, the least rare one counts.
    rare = classifier.measure_accuracy(logits[:, 2:], targets[:, 2:])
    assert rare == pytest.approx((means[3], means[3]))
    # Classes, by hand.
    logits = np.eye(3)[[0, 0, 1, 2]]
    assert classifier.measure_accuracy(logits, np.array([0, 2, 2, 2])) == (0.5, 0.75)


def test_the_classifier_learns_rotations_where_there_is_nothing_else(
    tmp_path, monkeypatch
):
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 32)[:, None]  # dark at the top, as no rotation of it
    for number in range(120):
        pixels = np.uint8(ramp + random.integers(0, 56, (32, 32)))
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    config = Config(dataset="folder", data_dir=str(tmp_path), image_size=32, channels=1)
    monkeypatch.setattr(classifier, "_MAX_STEPS", 60)
    extractor = load_extractor("classifier", config)
    assert extractor.short_name == "rotations" and "on rotations" in extractor.name
    assert not extractor.has_probabilities
    assert extractor.accuracy > 0.9 and extractor.chance == 0.25
    features, probabilities = extractor(images())
    assert features.shape == (7, 352) and probabilities is None
    # One class is no class.
    (tmp_path / "only").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "only" / path.name)
    assert classifier.load_examples(config)[0] == "rotations"


@pytest.mark.slow
def test_rotations_replace_classes_that_cannot_be_learned(
    tmp_path, monkeypatch, capsys
):
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 32)[:, None]
    for number in range(300):
        pixels = np.uint8(ramp + random.integers(0, 56, (32, 32)))
        folder = tmp_path / f"class{random.integers(2)}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    config = Config(dataset="folder", data_dir=str(tmp_path), image_size=32, channels=1)
    monkeypatch.setattr(classifier, "_MAX_STEPS", 60)
    extractor = load_extractor("classifier", config)
    assert extractor.short_name == "rotations" and extractor.accuracy > 0.9
    said = capsys.readouterr().out
    assert "Held-out accuracy of classes: " in said and "near chance" in said


def test_rotations_are_those_of_their_targets():
    array = images(3)
    rotated = classifier.Examples(array, np.zeros(3, int)).rotate()
    assert rotated.targets.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for turns in range(4):
        for index in range(3):
            # np.rot90 turns the first axis towards the second, hence counter-clockwise.
            expected = np.array(
                Image.fromarray(array[index, ..., 0]).rotate(90 * turns)
            )
            actual = rotated.images[3 * turns + index, ..., 0]
            np.testing.assert_array_equal(actual, expected)


def test_features_have_the_same_length_at_each_position():
    network = classifier._build(CONFIG, outputs=10)
    blocks = [layer for layer in network.layers if isinstance(layer, keras.layers.ReLU)]
    dense = next(
        layer for layer in network.layers if isinstance(layer, keras.layers.Dense)
    )
    hidden = keras.Model(network.input, [*(b.output for b in blocks), dense.output])
    images = np.random.default_rng(0).uniform(-1, 1, (5, 32, 32, 1))
    *maps, last, before_relu = (np.asarray(x, np.float64) for x in hidden(images))
    np.testing.assert_array_equal(last, np.maximum(before_relu, 0))
    expected = []
    for x in (*maps, before_relu[:, None, None]):
        length = np.sqrt((x**2).mean(axis=-1, keepdims=True))
        expected.append((x / length).mean(axis=(1, 2)))
    assert [x.shape[1] for x in expected] == [32, 64, 128, 128]
    features = network(images)[0]
    np.testing.assert_allclose(
        features, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".keras", "no archive"),
        (".keras", ""),
        (".json", "{"),
        (".json", "[]"),
        (".json", '{"task": "classes", "accuracy": "high", "chance": 0.1}'),
        (".json", '{"task": "guesses", "accuracy": 0.9, "chance": 0.1}'),
        (".json", '{"task": "classes", "accuracy": 1.5, "chance": 0.1}'),
        (".json", None),
    ],
)
def test_a_damaged_classifier_is_trained_again(suffix, text, monkeypatch, own_cache):
    trained = classifier.Classifier(classifier._build(CONFIG, 2), "classes", 0.9, 0.1)
    trainings = iter([trained, trained])
    monkeypatch.setattr(classifier, "_train_best", lambda _: next(trainings))
    classifier.load_classifier(CONFIG)
    (path,) = (own_cache / "classifiers").glob(f"*{suffix}")
    path.unlink() if text is None else path.write_text(text)
    again = classifier.load_classifier(CONFIG)
    assert again[1:] == trained[1:]
    assert not list(trainings)
    card = json.loads(next((own_cache / "classifiers").glob("*.json")).read_text())
    assert card == {"task": "classes", "accuracy": 0.9, "chance": 0.1}


def test_a_cache_that_cannot_be_written_is_one_clear_line(monkeypatch, own_cache):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 1)
    own_cache.mkdir()
    (own_cache / "classifiers").write_text("a file")
    with pytest.raises(UserError, match="classifiers/digits-.* cannot be written"):
        load_extractor("classifier", CONFIG)


def test_a_classifier_with_nan_loss_is_an_error(monkeypatch):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 1)
    monkeypatch.setattr(classifier, "_compute_loss", lambda *_: np.nan)
    with pytest.raises(UserError, match="could not be trained"):
        load_extractor("classifier", CONFIG)


def test_the_digest_of_a_classifier_is_that_of_its_weights(monkeypatch, tmp_path):
    network = classifier._build(CONFIG, 2)
    trained = classifier.Classifier(network, "classes", 0.5, 0.5)
    monkeypatch.setattr(classifier, "_train_best", lambda _: trained)
    digests = []
    for cache, change in (("one", 0), ("two", 0), ("three", 1)):
        monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / cache))
        network.set_weights([weight + change for weight in network.get_weights()])
        digests.append(load_extractor("classifier", CONFIG).digest)
    assert digests[0] == digests[1] != digests[2]


def test_each_data_set_has_its_own_classifier(monkeypatch, tmp_path):
    trained = []

    def train(config):
        trained.append(config.data_dir)
        network = classifier._build(CONFIG, 2)
        return classifier.Classifier(network, "classes", 0.5, 0.5)

    monkeypatch.setattr(classifier, "_train_best", train)
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
    with pytest.raises(UserError, match="could not be downloaded.*extractors class"):
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
    assert (extractor.name, extractor.short_name) == ("net.keras", "net")
    whole = hashlib.sha256((tmp_path / "net.keras").read_bytes()).digest()
    assert extractor.digest == hashlib.sha256(whole).hexdigest()[:16]

    model.export(tmp_path / "exported", verbose=False)
    exported = load_extractor(str(tmp_path / "exported"), CONFIG)
    np.testing.assert_allclose(exported(images())[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "short_name"),
    [("inception", "file_inception"), ("rotations", "file_rotations"), ("a b", "a_b")],
)
def test_a_file_is_never_named_as_a_built_in_extractor(name, short_name, tmp_path):
    inputs = keras.Input((32, 32, 1))
    path = tmp_path / f"{name}.keras"
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(path)
    assert load_extractor(str(path), CONFIG).short_name == short_name


@pytest.fixture
def address():
    """The address of a server that has `/net` and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path.startswith("/net") else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_auto_is_inception_where_it_is_cached_or_can_be_reached(
    address, monkeypatch, own_cache, capsys
):
    monkeypatch.setattr(extractors, "INCEPTION_ADDRESS", f"{address}/net")
    assert choose_extractor("auto", download=False) == "inception"
    said = f"Extractor: inception, downloaded from {address}/net\n"
    assert capsys.readouterr().out == said
    # It answers, but not with an archive.
    assert choose_extractor("auto") == "classifier"
    out = capsys.readouterr().out
    assert out.startswith(f"Downloading Inception from {address}/net, once\n")
    assert out.count("Extractor: ") == 1
    assert "Extractor: classifier. Inception is not in" in out
    assert not list((own_cache / "inception").iterdir())
    assert socket.getdefaulttimeout() is None
    monkeypatch.setattr(extractors, "INCEPTION_ADDRESS", f"{address}/missing")
    assert choose_extractor("auto") == "classifier"
    said = capsys.readouterr().out
    assert said.startswith("Extractor: classifier, because") and said.count("\n") == 1
    checksum = extractors._checksum_path(f"{address}/missing")
    checksum.parent.mkdir(parents=True, exist_ok=True)
    checksum.write_text("0123")
    assert choose_extractor("auto") == "inception"
    assert capsys.readouterr().out == "Extractor: inception, which is cached\n"
    for name in ("classifier", "inception:folder", "net.keras"):
        assert choose_extractor(name) == name
    assert capsys.readouterr().out == ""


def test_an_address_that_does_not_answer_is_given_up_in_time(monkeypatch):
    release = threading.Event()

    def hang(*_, **__):
        release.wait(30)
        raise OSError

    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/net"
        assert not extractors.is_reachable(address, 0.3)
        assert time.monotonic() - start < 2
    # A name server that does not answer ignores all timeouts.
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    assert not extractors.is_reachable("http://example.com/net", 0.3)
    assert time.monotonic() - start < 2
    release.set()
    assert not extractors.is_reachable("no address", 0.3)


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
