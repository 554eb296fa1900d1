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
from typing import Any, NamedTuple

import keras
import numpy as np

from sagan_tf import load_run
from sagan_tf.cache import cache_dir, digest, digest_arrays, digest_files
from sagan_tf.config import Config
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.evaluation.classifier import Examples, count_outputs, fit, load_examples
from sagan_tf.evaluation.held_out import load_held_out
from sagan_tf.evaluation.image_sets import find_real_images, generated_images
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
    if arguments.num_images < 1:
        parser.error("--num_images must be positive")
    try:
        # What is missing is said before extractors are trained.
        steps = arguments.steps or [None]
        runs = [load_run(arguments.workdir, step=step) for step in steps]
        extractors = load(runs[0].config)
        for run in runs:
            evaluate(run, extractors, arguments.num_images)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def evaluate(
    run: Run, extractors: Sequence[Path], num_images: int = NUM_IMAGES
) -> None:
    """Evaluates a run, unless its checkpoint already was.

    Args:
        run: `Run`.
        extractors: Files, as `load` returns them.
        num_images: Positive integer, the number of generated images.

    Raises:
        UserError: if the data are missing.
    """
    path = records_path(run.config.run_dir, run.step)
    records = read_records(path)
    real, _ = find_real_images(run.config.split, run.config, num_images, num_images)

    def is_done(score: str, **protocol: Any) -> bool:
        return any(
            score in record["scores"] and protocol.items() <= record["protocol"].items()
            for record in records
        )

    for design, extractor in zip(DESIGNS, extractors, strict=True):
        protocol = {
            "extractor_sha256": digest_files(extractor),
            "real": real.name,
            **_describe_samples(run, num_images, seed=0),
        }
        if not is_done(f"frechet_{design.name}", **protocol):
            score(run, extractor, num_images)
        if design.name == "labels" and run.config.conditional:
            protocol = _describe_agreement(run, extractor)
            if not is_done("agreement", **protocol):
                measure_agreement(run, extractor, path)


def _describe_samples(run: Run, num_images: int, seed: int) -> dict[str, Any]:
    samples = generated_images(run.sampler, "EMA generator", run.step, num_images, seed)
    return {"num_fake": num_images, "fake": samples.name}


def score(
    run: Run, extractor: Path, num_images: int, samples: str | None = None
) -> None:
    """Scores a run's images, or others, by an extractor, and prints the scores.

    Args:
        run: `Run`.
        extractor: File.
        num_images: Positive integer.
        samples: Other images: an `.npz` file or a folder.

    Raises:
        UserError: if images are missing.
    """
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

    Args:
        run: `Run` with classes.
        extractor: File of an extractor that predicts classes.
        path: File of the records.
    """
    network = keras.saving.load_model(extractor, compile=False)
    labels = np.arange(len(run.config.classes)).repeat(_AGREEMENT_LABELS)
    images = run.generate(len(labels), seed=1, labels=labels)
    scores = _count_agreement(network, images, labels)
    real = load_held_out(run.config)
    of_real = _count_agreement(network, real.images, real.labels)
    print(f"{run.config.workdir} {scores}, held-out real {of_real}")
    yardstick = Yardstick("held-out real images", len(real.labels), of_real)
    protocol = _describe_agreement(run, extractor)
    save_record(path, scores, protocol, {"held_out": yardstick})


def _describe_agreement(run: Run, extractor: Path) -> dict[str, Any]:
    return {
        "agreement_with": extractor.name,
        "extractor_sha256": digest_files(extractor),
        **_describe_samples(run, _AGREEMENT_LABELS * len(run.config.classes), seed=1),
    }


def _count_agreement(
    network: keras.Model, images: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    logits = network.predict(scale(images), batch_size=500, verbose=0)[1]
    agrees = logits.argmax(axis=1) == labels
    worst = min(agrees[labels == label].mean() for label in np.unique(labels))
    return {"agreement": float(agrees.mean()), "agreement_worst_class": float(worst)}


def load(config: Config) -> list[Path]:
    """Returns the files of the extractors, one for each design.

    Missing ones are trained.

    Args:
        config: `Config` of a run on their data.

    Raises:
        UserError: if the data are missing.
    """
    # The seed draws the images, which are the same whichever run is scored first.
    task, examples, _ = load_examples(dataclasses.replace(config, seed=0))
    # The key has no files of the data, since a copy of them has other dates.
    data = [task, digest_arrays(examples), examples.images.shape]
    paths = []
    for design in DESIGNS:
        key = digest([_VERSION, design, data])
        path = cache_dir() / "experiments" / key / f"{design.name}.keras"
        if not path.exists():
            name = f"the extractor {design.name} of {config.dataset}"
            print(f"Training {name}, once: some minutes on two CPU cores")
            network = train(design, design.task or task, examples, name)
            with replacing(path) as partial:
                network.save(partial)
        paths.append(path)
    return paths


def train(design: Design, task: str, examples: Examples, name: str) -> keras.Model:
    """Trains an extractor on images that are not held out.

    Args:
        design: `Design`.
        task: What it predicts; see `sagan_tf.evaluation.classifier`.
        examples: `Examples`.
        name: What to call it in messages.

    Returns:
        `keras.Model` from images in [-1, 1] to features and logits.
    """
    keras.utils.set_random_seed(design.seed)
    outputs = count_outputs(task, examples.targets)
    network = build(design, examples.images.shape[1:], outputs)
    fit(network, task, examples, name, design.seed)
    return network


def build(design: Design, shape: tuple[int, ...], outputs: int) -> keras.Model:
    """Builds a classifier whose first output are its features.

    Args:
        design: `Design`.
        shape: Of an image, `(size, size, channels)`.
        outputs: Integer, the number of logits.

    Returns:
        `keras.Model` from images to features `[N, units]` and logits `[N, outputs]`.
    """
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
