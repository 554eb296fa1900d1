import json
import shutil

import keras
import numpy as np
import pytest

from experiments import extractors
from sagan_tf import load_run
from sagan_tf.config import Config
from sagan_tf.evaluation import classifier
from sagan_tf.evaluation.held_out import HeldOut
from sagan_tf.models.builders import build_sagan
from sagan_tf.run import Run

NAMES = ("labels", "turns", "narrow")


@pytest.fixture(autouse=True)
def short_training(monkeypatch, tmp_path):
    monkeypatch.setattr(classifier, "_MAX_STEPS", 3)
    monkeypatch.setenv("SAGAN_TF_CACHE", str(tmp_path / "cache"))


def test_a_run_is_scored_by_each_extractor_once(workdir, tmp_path, monkeypatch):
    shutil.copytree(workdir, tmp_path / "run")
    run = load_run(tmp_path / "run")
    paths = extractors.load(run.config)
    extractors.evaluate(run, paths, num_images=40)
    path = tmp_path / "run" / "evaluation" / "000012.json"
    records = json.loads(path.read_text())
    for record, name in zip(records, NAMES, strict=True):
        assert record["protocol"]["extractor"] == f"{name}.keras"
        assert record["scores"][f"frechet_{name}"] > 0
        assert set(record["yardsticks"]) == {"held_out", "noise"}
    # Other records of the same extractors do not count: another truncation, reference.
    others = json.loads(path.read_text())
    others[0]["protocol"]["fake"] = "EMA generator at step 12, seed 0, truncation 0.5"
    others[1]["protocol"]["real"] = "digits test"
    others[2]["scores"] = {"kernel_narrow": 1.0}
    path.write_text(json.dumps(others))
    extractors.evaluate(run, paths, num_images=40)
    assert len(json.loads(path.read_text())) == 5  # the last one is replaced
    # Extractors are trained once, and a run is scored once.
    monkeypatch.setattr(extractors, "train", None)
    monkeypatch.setattr(Run, "evaluate", None)
    extractors.evaluate(run, extractors.load(run.config), num_images=40)


def test_extractors_are_kept_for_the_same_images(monkeypatch):
    monkeypatch.setattr(extractors, "DESIGNS", extractors.DESIGNS[:1])
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), np.uint8)
    examples = classifier.Examples(images, np.arange(60) % 3)
    monkeypatch.setattr(
        extractors, "load_examples", lambda _: ("classes", examples, None)
    )
    config = Config(dataset="digits")
    paths = extractors.load(config)
    assert [path.name for path in paths] == ["labels.keras"]
    examples = classifier.Examples(images.copy(), examples.targets.copy())
    assert extractors.load(config) == paths  # loaded anew, as from a copied file
    examples.images[5, 5, 5] ^= 1
    assert not set(extractors.load(config)) & set(paths)
    examples.images[5, 5, 5] ^= 1
    examples.targets[:2] = 1
    assert not set(extractors.load(config)) & set(paths)


def test_agreement_counts_images_that_are_of_the_class_asked_for(tmp_path, monkeypatch):
    real = HeldOut(np.zeros((4, 32, 32, 1), np.uint8), np.array([1, 0, 1, 1]))
    monkeypatch.setattr(extractors, "load_held_out", lambda _: real)
    settings = {"image_size": 32, "channels": 1, "width": 8, "conditional": True}
    config = Config(**settings, classes=("a", "b"), workdir=str(tmp_path))
    run = Run(config, build_sagan(config))
    # All images are assigned to the second class.
    inputs = keras.Input((32, 32, 1))
    features = keras.layers.Flatten()(inputs)
    logits = keras.layers.Dense(2, "linear", True, "zeros", "zeros")(features)
    network = keras.Model(inputs, [features, logits])
    network.layers[-1].bias.assign(np.array([0.0, 1.0]))
    network.save(tmp_path / "labels.keras")
    path = tmp_path / "evaluation" / "000000.json"
    extractors.measure_agreement(run, tmp_path / "labels.keras", path)
    (record,) = json.loads(path.read_text())
    assert record["scores"] == {"agreement": 0.5, "agreement_worst_class": 0.0}
    of_real = record["yardsticks"]["held_out"]["scores"]
    assert of_real == {"agreement": 0.75, "agreement_worst_class": 0.0}


@pytest.mark.parametrize("design", extractors.DESIGNS)
def test_features_are_the_first_output(design):
    network = extractors.build(design, (32, 32, 3), 7)
    features, logits = network(np.zeros((2, 32, 32, 3), "float32"))
    assert features.shape == (2, design.units) and logits.shape == (2, 7)
