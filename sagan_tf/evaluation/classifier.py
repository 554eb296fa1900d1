"""A small classifier of a data set, for metrics without Inception."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from sagan_tf import files
from sagan_tf.cache import (
    cache_dir,
    digest,
    warn_damaged,
)
from sagan_tf.config import Config
from sagan_tf.data import load_images, open_source
from sagan_tf.data.loading import load_attributes
from sagan_tf.data.preprocessing import scale
from sagan_tf.data.sources import describe_data
from sagan_tf.errors import UserError
from sagan_tf.evaluation.held_out import (
    find_others,
    load_held_out,
    load_held_out_attributes,
)
from sagan_tf.types import Tensor

TASKS = ("classes", "attributes", "rotations")
_MAX_IMAGES = 50_000
_MAX_STEPS, _BATCH_SIZE = 1500, 128
_VALIDATION, _MAX_VALIDATED = 0.1, 1000  # of the images that are not held out
_VALIDATION_INTERVAL, _PATIENCE = 50, 300  # steps
_MOST_FREQUENT = 0.8  # of an attribute that accuracy is measured by
# A classifier must correct so much of the errors of always predicting the most
# frequent class. One that corrected 20 % (46.5 % accuracy in three classes) gave a run
# of 60 steps the scores of real images, by the activations of its last layer alone.
LEAST_SKILL = 0.25
_HIDDEN_UNITS = 128
VERSION = 6  # of this file: a changed classifier gives other scores


class Classifier(NamedTuple):
    """A trained classifier.

    Attributes:
        network: Keras model from images, float `[batch, size, size, channels]` in
            `[-1, 1]`, to features, float32 `[batch, features]`, and logits.
        task: What it was trained to predict: `"classes"`, `"attributes"`, several of
            which an image can have, or `"rotations"`.
        accuracy: Float, its accuracy on held-out images; see `measure_accuracy`.
        chance: Float, the accuracy there of always predicting what is most frequent.
    """

    network: keras.Model
    task: str
    accuracy: float
    chance: float


def load_classifier(config: Config) -> Classifier:
    """Loads the classifier of a config's data set, or trains it once.

    It learns the labels or, if the data set has attributes instead, as CelebA has,
    the attributes. Without either, with one class only, or if it is near chance on
    held-out images, it learns by how much an image was rotated: by 0, 90, 180 or 270
    degrees ([Gidaris et al., 2018](https://arxiv.org/abs/1803.07728)).

    Images have the training size. Held-out ones are used neither for training nor for
    validation, by which `fit` chooses the weights.

    Args:
        config: `Config`.

    Raises:
        UserError: if the data set is missing or has fewer than 4 images.
    """
    # The images are chosen independently of the run's seed.
    config = dataclasses.replace(config, seed=0)
    key = digest([VERSION, describe_data(config, open_source(config))])
    folder = cache_dir() / "classifiers"
    path = folder / f"{config.dataset.replace('/', '_')}-{key}.keras"
    return _read(path) or _train_once(config, path)


def _read(path: Path) -> Classifier | None:
    """Returns a cached classifier, or None if there is none or it is damaged."""
    card_path = path.with_suffix(".json")
    if not path.exists() or not card_path.exists():
        return None
    try:
        card = files.read_json(card_path)
        classifier = Classifier(keras.saving.load_model(path, compile=False), **card)
        _check_card(classifier)
    # A damaged network fails in Keras, zipfile or h5py, each in its own ways.
    except Exception as error:
        warn_damaged(path, error)
        return None
    return classifier


def _check_card(classifier: Classifier) -> None:
    numbers = (classifier.accuracy, classifier.chance)
    valid = all(type(number) is float and 0 <= number <= 1 for number in numbers)
    if classifier.task not in TASKS or not valid:
        raise ValueError(f"its card has {classifier.task!r} and {numbers}")


def _train_once(config: Config, path: Path) -> Classifier:
    print(f"Training the classifier of {config.dataset}, once (a minute or more)")
    classifier = _train_best(config)
    card = classifier._asdict()
    del card["network"]
    # The card first: a cached network always has its card.
    files.write_text(path.with_suffix(".json"), json.dumps(card) + "\n")
    with files.replacing(path) as partial:
        classifier.network.save(partial)
    return classifier


def _train_best(config: Config) -> Classifier:
    """Trains on classes or attributes and, if these are not learned, on rotations."""
    examples = load_examples(config)
    classifier = _train(config, *examples)
    skill = compute_skill(classifier.accuracy, classifier.chance)
    if classifier.task == "rotations" or skill >= LEAST_SKILL:
        return classifier
    print(
        f"Held-out accuracy of {classifier.task}: {classifier.accuracy:.1%}, near "
        f"chance ({classifier.chance:.1%}). Training on rotations instead"
    )
    rotations = _train(config, "rotations", *examples[1:])
    better = compute_skill(rotations.accuracy, rotations.chance) > skill
    return rotations if better else classifier


def compute_skill(accuracy: float, chance: float) -> float:
    """Returns the share that a classifier gets right of what chance gets wrong."""
    return (accuracy - chance) / (1 - chance) if chance < 1 else 0.0


class Examples(NamedTuple):
    """What a classifier learns from.

    Attributes:
        images: uint8 `[N, size, size, channels]`.
        targets: int `[N]`, or `[N, attributes]` of 0 and 1.
    """

    images: np.ndarray
    targets: np.ndarray

    def take(self, indices: np.ndarray) -> "Examples":
        return Examples(self.images[indices], self.targets[indices])

    def rotate(self) -> "Examples":
        """Returns each image in the four rotations, which are its targets then."""
        rotated = [np.rot90(self.images, turns, axes=(1, 2)) for turns in range(4)]
        targets = np.repeat(np.arange(4), len(self.images))
        return Examples(np.concatenate(rotated), targets)


def _train(
    config: Config, task: str, rest: "Examples", held_out: "Examples"
) -> Classifier:
    if task == "rotations":
        held_out = held_out.rotate()
    network = _build(config, count_outputs(task, rest.targets))
    fit(network, task, rest, f"the classifier of {config.dataset}")
    logits = _compute_logits(network, held_out.images)
    return Classifier(network, task, *measure_accuracy(logits, held_out.targets))


def fit(
    network: keras.Model, task: str, examples: "Examples", name: str, seed: int = 0
) -> None:
    """Trains a classifier, and gives it the weights of its lowest validation loss.

    A network that has memorized its training images computes other features for them
    than for any other image. A tenth of the examples, at most 1,000, are for
    validation. Training ends after 1,500 batches of 128 images, or when the loss was
    not lower for 300.

    Args:
        network: Keras model from images in `[-1, 1]` to features and logits.
        task: One of `TASKS`.
        examples: `Examples`.
        name: What is trained, for messages.
        seed: Integer, of the order of the examples.

    Raises:
        UserError: if its loss is NaN.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(examples.images))
    count = int(np.clip(_VALIDATION * len(order), 1, _MAX_VALIDATED))
    validation, training = np.split(order, [count])
    validated = examples.take(validation)
    if task == "rotations":
        validated = validated.rotate()
    learner = keras.Model(network.inputs, network.outputs[1])
    learning_rate = keras.optimizers.schedules.CosineDecay(2e-3, _MAX_STEPS)
    optimizer = keras.optimizers.Adam(learning_rate)
    learner.compile(optimizer, make_loss(task), jit_compile=False)

    lowest_loss, best_step = np.inf, 0
    for step in tqdm(
        range(1, _MAX_STEPS + 1),
        desc=f"Training {name}",
        leave=False,
        disable=None,  # without a terminal
    ):
        batch = draw_batch(task, examples, training, random)
        learner.train_on_batch(scale(batch.images), batch.targets)
        if step % _VALIDATION_INTERVAL and step < _MAX_STEPS:
            continue
        validation_loss = _compute_loss(network, learner.loss, validated)
        if validation_loss < lowest_loss:
            lowest_loss, best_step = validation_loss, step
            weights = network.get_weights()
        elif step - best_step >= _PATIENCE:
            break
    if not best_step:
        raise UserError(f"The loss is NaN: {name} could not be trained")
    network.set_weights(weights)


def load_examples(config: Config) -> tuple[str, Examples, Examples]:
    """Returns the task, the examples to learn from, and the held-out ones.

    The task is that of `load_classifier`, of which this is the data.

    Args:
        config: `Config`. Its seed chooses the images of a large data set.

    Raises:
        UserError: if the data set has too few images.
    """
    images, labels = load_images(config, _MAX_IMAGES)
    held_out = load_held_out(config)
    rest = find_others(images, held_out.images)
    if not len(rest) or not len(held_out.images):
        raise UserError(
            f"{config.dataset} has too few different images to train a classifier on: "
            f"{len(rest)} that are not held out. Use more images, or another "
            "extractor: inception, or the path of a Keras model or SavedModel"
        )
    if (labels >= 0).all() and len(np.unique(labels[rest])) > 1:
        tested = Examples(held_out.images, held_out.labels)
        return "classes", Examples(images[rest], labels[rest]), tested
    attributes = load_attributes(config, _MAX_IMAGES)
    own_attributes = load_held_out_attributes(config)
    # An unreadable image would shift all attributes after its own.
    if (
        attributes is not None
        and own_attributes is not None
        and len(attributes) == len(images)
        and len(own_attributes) == len(held_out.images)
    ):
        known = _take_known(Examples(images[rest], attributes[rest]))
        tested = _take_known(Examples(held_out.images, own_attributes))
        if len(known.images) and len(tested.images):
            return "attributes", known, tested
    tested = Examples(held_out.images, held_out.labels)
    return "rotations", Examples(images[rest], labels[rest]), tested


def _take_known(examples: Examples) -> Examples:
    """Returns the examples whose attributes are known.

    Each face of CelebA has at least one. Where some files have none at all, a network
    would learn to tell these files from others, by whatever else differs.
    """
    return examples.take(np.flatnonzero(examples.targets.any(axis=1)))


def count_outputs(task: str, targets: np.ndarray) -> int:
    """Returns how many logits a task needs."""
    if task == "rotations":
        return 4
    return targets.shape[1] if task == "attributes" else int(targets.max()) + 1


def make_loss(task: str) -> keras.losses.Loss:
    """Returns the loss of a task, from logits."""
    if task == "attributes":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def draw_batch(
    task: str, examples: Examples, indices: np.ndarray, random: np.random.Generator
) -> Examples:
    """Draws 128 examples at random, each shifted by up to an eighth of its size.

    Args:
        task: One of `TASKS`. For rotations the examples are 32 images in all four.
        examples: `Examples`.
        indices: int `[N]`, of those to choose from.
        random: NumPy's random generator.
    """
    if task != "rotations":
        images, targets = examples.take(random.choice(indices, _BATCH_SIZE))
        return Examples(_shift(images, random), targets)
    images, targets = examples.take(random.choice(indices, _BATCH_SIZE // 4))
    # A flipped photo is upright as well: twice as many different images.
    flips = random.random((len(images), 1, 1, 1)) < 0.5
    images = np.where(flips, images[:, :, ::-1], images)
    return Examples(_shift(images, random), targets).rotate()


def _shift(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = images.shape[1]
    border = size // 8
    padded = np.pad(
        images, [(0, 0), (border, border), (border, border), (0, 0)], "edge"
    )
    starts = random.integers(2 * border + 1, size=(len(images), 2))
    return np.stack(
        [
            image[top : top + size, left : left + size]
            for image, (top, left) in zip(padded, starts, strict=True)
        ]
    )


def _compute_logits(network: keras.Model, images: np.ndarray) -> np.ndarray:
    batches = np.array_split(images, -(-len(images) // _BATCH_SIZE))
    return np.concatenate([network(scale(batch))[1] for batch in batches])


def _compute_loss(
    network: keras.Model, loss: keras.losses.Loss, examples: Examples
) -> float:
    return float(loss(examples.targets, _compute_logits(network, examples.images)))


def measure_accuracy(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Returns the accuracy, and that of always predicting what is most frequent.

    Of attributes, those count which are neither rare nor common: a good classifier,
    too, predicts that no image has an attribute which one in a hundred has.

    Args:
        logits: Float `[N, classes]` or `[N, attributes]`.
        targets: int `[N]`, or `[N, attributes]` of 0 and 1.
    """
    if targets.ndim == 1:
        accuracy = (logits.argmax(axis=1) == targets).mean()
        return float(accuracy), float(np.bincount(targets).max() / len(targets))
    accuracies = ((logits > 0) == targets).mean(axis=0)
    shares = targets.mean(axis=0)
    chances = np.maximum(shares, 1 - shares)
    counted = chances <= max(_MOST_FREQUENT, chances.min())
    return float(accuracies[counted].mean()), float(chances[counted].mean())


def _build(config: Config, outputs: int) -> keras.Model:
    """Strided convolutions down to 4x4, a dense layer, and one of logits.

    Its features are those of all these layers. The norm of a layer's activations is
    arbitrary for images unlike the training images: noise scored better than a run of
    60 steps. The activations of each position are therefore divided by their root mean
    square, as in LPIPS ([Zhang et al., 2018](https://arxiv.org/abs/1801.03924)), and
    then averaged over the positions: texture from the first layers, shapes from the
    last.
    """
    layers, seeds = keras.layers, itertools.count()

    def initializer() -> keras.initializers.Initializer:
        # With seeds of its own: the global seed is the run's.
        return keras.initializers.GlorotUniform(next(seeds))

    def normalize(activations: Tensor) -> Tensor:
        unit = layers.UnitNormalization()(activations)
        return layers.Rescaling(activations.shape[-1] ** 0.5)(unit)

    size, filters = config.image_size, 32
    features = []
    x = images = keras.Input((size, size, config.channels))
    while size > 4:
        x = layers.Conv2D(filters, 3, 2, "same", kernel_initializer=initializer())(x)
        # With the default of 0.99 the first validations would use statistics of
        # untrained weights.
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        features.append(layers.GlobalAveragePooling2D()(normalize(x)))
        size, filters = size // 2, min(2 * filters, 128)
    x = layers.Dropout(0.3, seed=next(seeds))(layers.Flatten()(x))
    x = layers.Dense(_HIDDEN_UNITS, kernel_initializer=initializer())(x)
    # Taken before the ReLU, because some units are zero for all images.
    features.append(normalize(x))
    x = layers.Dropout(0.3, seed=next(seeds))(layers.ReLU()(x))
    logits = layers.Dense(outputs, kernel_initializer=initializer(), name="logits")(x)
    return keras.Model(images, [layers.Concatenate()(features), logits])
