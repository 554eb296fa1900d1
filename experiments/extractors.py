"""python -m experiments.extractors --workdir=runs/mnist

Evaluates a run with three small classifiers that were trained independently of each
other and of `sagan_tf evaluate`'s: settings that please one of them may not please the
others. They differ in what they predict, in their layers, width and seed:

    labels      classes, or the attributes of CelebA
    turns       by how many quarter turns an image was rotated
    narrow      as labels, half as wide, with twice the layers

They are trained once per data set, two to five minutes each on two CPU cores, on images
that are not held out. A run with classes is also scored by its agreement: the share of
its images that `labels` assigns to the class that was asked for.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from sagan_tf import load_run
from sagan_tf.cache import cache_dir, digest, digest_files
from sagan_tf.config import Config
from sagan_tf.data import load_images, open_source
from sagan_tf.data.loading import load_attributes
from sagan_tf.data.preprocessing import scale
from sagan_tf.data.sources import describe_data
from sagan_tf.errors import UserError
from sagan_tf.evaluation import save_record
from sagan_tf.evaluation.held_out import find_others, load_held_out
from sagan_tf.files import read_json, replacing
from sagan_tf.run import Run

NUM_IMAGES = 5000
_MAX_IMAGES = 50_000
_BATCH_SIZE = 128
_STEPS = 2000
_AGREEMENT_LABELS = 200  # images per class
_VERSION = 1  # of this file: changed networks give other scores


class Design(NamedTuple):
    """What tells an extractor from the others."""

    name: str
    task: str
    width: int
    convolutions: int  # per resolution
    units: int  # of the layer whose activations are the features
    seed: int


DESIGNS = (
    Design("labels", "labels", width=32, convolutions=1, units=128, seed=1),
    Design("turns", "turns", width=24, convolutions=1, units=128, seed=2),
    Design("narrow", "labels", width=16, convolutions=2, units=64, seed=3),
)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--num_images", type=int, default=NUM_IMAGES)
    arguments = parser.parse_args()
    try:
        evaluate(load_run(arguments.workdir), arguments.num_images)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def evaluate(run: Run, num_images: int = NUM_IMAGES) -> None:
    """Evaluates a run with all extractors, unless its last step already was."""
    path = run.config.run_dir / "evaluation" / f"{run.step:06d}.json"
    protocols = [r["protocol"] for r in (read_json(path) if path.exists() else [])]
    done = {
        (protocol.get("extractor_sha256"), protocol.get("num_fake"))
        for protocol in protocols
    }
    for design in DESIGNS:
        extractor = load(design, run.config)
        is_done = (digest_files(extractor), num_images) in done
        if not is_done:
            result = run.evaluate(
                ("frechet", "precision_recall"), str(extractor), num_images, force=True
            )
            for name, score in result.scores.items():
                real = result.yardsticks["held_out"].scores.get(name, np.nan)
                text = f"{name} {score:.4g}, held-out real {real:.4g}"
                print(f"{run.config.workdir} {text}")
        is_measured = any("agreement_with" in protocol for protocol in protocols)
        if design.name == "labels" and run.config.conditional:
            if not (is_done and is_measured):
                measure_agreement(run, extractor, path)


def measure_agreement(run: Run, extractor: Path, path: Path) -> None:
    """Saves how many images are assigned to the class that was asked for."""
    classes = len(run.config.classes)
    labels = np.arange(classes).repeat(_AGREEMENT_LABELS)
    images = run.generate(len(labels), seed=1, labels=labels)
    network = keras.saving.load_model(extractor, compile=False)
    logits = network.predict(scale(images), batch_size=500, verbose=0)[1]
    shares = (logits.argmax(axis=1) == labels).reshape(classes, -1).mean(axis=1)
    scores = {"agreement": shares.mean(), "agreement_worst_class": shares.min()}
    scores = {name: float(score) for name, score in scores.items()}
    print(f"{run.config.workdir} {scores}")
    protocol = {
        "agreement_with": extractor.name,
        "agreement_images_per_class": _AGREEMENT_LABELS,
        "fake": f"EMA generator at step {run.step}, seed 1, truncation 1",
    }
    save_record(path, scores, protocol)


def load(design: Design, config: Config) -> Path:
    """Returns the file of an extractor of a config's data, trained if it is missing."""
    key = digest([_VERSION, design, describe_data(config, open_source(config))])
    path = cache_dir() / "experiments" / key / f"{design.name}.keras"
    if not path.exists():
        print(f"Training the extractor {design.name} of {config.dataset}, once")
        network = train(design, config)
        with replacing(path) as partial:
            network.save(partial)
    return path


def train(design: Design, config: Config) -> keras.Model:
    """Trains an extractor on images that are not held out."""
    # Whichever run is scored first: images are drawn by the seed.
    config = dataclasses.replace(config, seed=0)
    images, labels = load_images(config, _MAX_IMAGES)
    kept = find_others(images, load_held_out(config).images)
    targets = load_attributes(config, _MAX_IMAGES)
    if targets is None:
        targets = labels
    if design.task == "turns":
        outputs, loss = 4, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    elif targets.ndim == 2:
        outputs = targets.shape[1]
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        outputs = int(targets.max()) + 1
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    keras.utils.set_random_seed(design.seed)
    network = build(design, images.shape[1:], outputs)
    learner = keras.Model(network.inputs, network.outputs[1])
    decay = keras.optimizers.schedules.CosineDecay(2e-3, _STEPS)
    learner.compile(keras.optimizers.Adam(decay), loss, jit_compile=False)
    random = np.random.default_rng(design.seed)
    for _ in range(_STEPS):
        indices = random.choice(kept, _BATCH_SIZE)
        batch, batch_targets = _shift(images[indices], random), targets[indices]
        if design.task == "turns":
            batch_targets = random.integers(4, size=_BATCH_SIZE)
            turned = zip(batch, batch_targets, strict=True)
            batch = np.stack([np.rot90(image, turns) for image, turns in turned])
        learner.train_on_batch(scale(batch), batch_targets)
    return network


def build(design: Design, shape: tuple[int, ...], outputs: int) -> keras.Model:
    """Builds a classifier whose first output are its features."""
    layers = keras.layers
    x = inputs = keras.Input(shape)
    size, width = shape[0], design.width
    while size > 4:
        for _ in range(design.convolutions):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        size, width = size // 2, min(2 * width, 256)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    features = layers.Dense(design.units, activation="relu")(x)
    logits = layers.Dense(outputs)(layers.Dropout(0.3)(features))
    return keras.Model(inputs, [features, logits])


def _shift(images: np.ndarray, random: Any) -> np.ndarray:
    """Shifts a batch by up to a sixteenth of its size."""
    size = images.shape[1]
    border = size // 16
    widths = [(0, 0), (border, border), (border, border), (0, 0)]
    top, left = random.integers(2 * border + 1, size=2)
    padded = np.pad(images, widths, "edge")
    return padded[:, top : top + size, left : left + size]


if __name__ == "__main__":
    main()
