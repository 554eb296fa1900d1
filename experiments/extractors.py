"""python -m experiments.extractors --workdir=runs/mnist

Evaluates a run with three small classifiers that were trained independently of each
other and of `sagan_tf evaluate`'s: settings that please one of them may not please the
others. They differ in what they predict, in their layers, width and seed:

    labels      classes, or the attributes of CelebA; rotations where there are neither
    turns       by how many quarter turns an image was rotated
    narrow      as labels, half as wide, with twice the layers

They are trained once per data set, one to five minutes each on two CPU cores, on images
that are not held out, like `evaluate`'s. A run with classes is also scored by its
agreement: the share of its images that `labels` assigns to the class asked for.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from sagan_tf import load_run
from sagan_tf.cache import cache_dir, digest, digest_arrays, digest_files
from sagan_tf.config import Config, load_config
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.evaluation.classifier import Examples, count_outputs, fit, load_examples
from sagan_tf.evaluation.held_out import load_held_out
from sagan_tf.evaluation.yardsticks import Yardstick
from sagan_tf.files import replacing
from sagan_tf.records import read_records, records_path, save_record
from sagan_tf.run import Run

NUM_IMAGES = 5000
_AGREEMENT_LABELS = 1000  # images per class
_VERSION = 3  # of this file: changed networks give other scores


class Design(NamedTuple):
    """The settings of an extractor."""

    name: str
    task: str | None  # None is what the data has
    width: int
    convolutions: int  # per resolution
    units: int  # of the layer whose activations are the features
    seed: int


DESIGNS = (
    Design("labels", None, width=32, convolutions=1, units=128, seed=1),
    # Not "rotations": the scores of the classifier of `evaluate` have that name.
    Design("turns", "rotations", width=24, convolutions=1, units=128, seed=2),
    Design("narrow", None, width=16, convolutions=2, units=64, seed=3),
)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Scores a run by three extractors.")
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--num_images", type=int, default=NUM_IMAGES)
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        help="of the checkpoints, by default the last",
    )
    arguments = parser.parse_args()
    try:
        extractors = load(load_config(arguments.workdir))
        for step in arguments.steps or [None]:
            run = load_run(arguments.workdir, step=step)
            evaluate(run, extractors, arguments.num_images)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def evaluate(
    run: Run, extractors: Sequence[Path], num_images: int = NUM_IMAGES
) -> None:
    """Evaluates a run with the files of `load`, unless its checkpoint already was."""
    path = records_path(run.config.run_dir, run.step)
    protocols = [record["protocol"] for record in read_records(path)]
    done = {
        (own.get("extractor_sha256"), own.get("num_fake"), "agreement_with" in own)
        for own in protocols
    }
    for design, extractor in zip(DESIGNS, extractors, strict=True):
        key = digest_files(extractor)
        if (key, num_images, False) not in done:
            score(run, extractor, num_images)
        if design.name == "labels" and run.config.conditional:
            count = _AGREEMENT_LABELS * len(run.config.classes)
            if (key, count, True) not in done:
                measure_agreement(run, extractor, path)


def score(
    run: Run, extractor: Path, num_images: int, samples: str | None = None
) -> None:
    """Scores a run's images, or a file of samples, by an extractor."""
    result = run.evaluate(
        ("frechet", "precision_recall"),
        str(extractor),
        num_images,
        samples=samples,
        force=True,
    )
    for name, own in result.scores.items():
        real = result.yardsticks["held_out"].scores.get(name, np.nan)
        what = samples or run.config.workdir
        print(f"{what} {name} {own:.4g}, held-out real {real:.4g}")


def measure_agreement(run: Run, extractor: Path, path: Path) -> None:
    """Saves how many images are assigned to the class that was asked for.

    The yardstick is how many held-out real images are assigned to their class.
    """
    network = keras.saving.load_model(extractor, compile=False)
    labels = np.arange(len(run.config.classes)).repeat(_AGREEMENT_LABELS)
    images = run.generate(len(labels), seed=1, labels=labels)
    scores = _count_agreement(network, images, labels)
    real = load_held_out(run.config)
    of_real = _count_agreement(network, real.images, real.labels)
    print(f"{run.config.workdir} {scores}, held-out real {of_real}")
    protocol = {
        "agreement_with": extractor.name,
        "extractor_sha256": digest_files(extractor),
        "num_fake": len(labels),
        "fake": f"EMA generator at step {run.step}, seed 1, truncation 1",
    }
    yardstick = Yardstick("held-out real images", len(real.labels), of_real)
    save_record(path, scores, protocol, {"held_out": yardstick})


def _count_agreement(
    network: keras.Model, images: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    logits = network.predict(scale(images), batch_size=500, verbose=0)[1]
    agrees = logits.argmax(axis=1) == labels
    worst = min(agrees[labels == label].mean() for label in np.unique(labels))
    return {"agreement": float(agrees.mean()), "agreement_worst_class": float(worst)}


def load(config: Config) -> list[Path]:
    """Returns the files of a config's extractors. Missing ones are trained."""
    # Whichever run is scored first: images are drawn by the seed.
    task, examples, _ = load_examples(dataclasses.replace(config, seed=0))
    # Not by the files of the data: a copy of them has other dates.
    data = [task, digest_arrays(examples), examples.images.shape]
    paths = []
    for design in DESIGNS:
        key = digest([_VERSION, design, data])
        path = cache_dir() / "experiments" / key / f"{design.name}.keras"
        if not path.exists():
            name = f"the extractor {design.name} of {config.dataset}"
            print(f"Training {name}, once")
            network = train(design, design.task or task, examples, name)
            with replacing(path) as partial:
                network.save(partial)
        paths.append(path)
    return paths


def train(design: Design, task: str, examples: Examples, name: str) -> keras.Model:
    """Trains an extractor on images that are not held out."""
    keras.utils.set_random_seed(design.seed)
    outputs = count_outputs(task, examples.targets)
    network = build(design, examples.images.shape[1:], outputs)
    fit(network, task, examples, name, design.seed)
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


if __name__ == "__main__":
    main()
