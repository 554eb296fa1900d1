"""A small classifier of a data set, for metrics without Inception."""

import dataclasses
import itertools
import json
import os
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from sagan_tf.config import Config
from sagan_tf.data.loading import load_attributes, load_images
from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import cache_dir, describe_data, digest

FEATURES = 128
_MAX_IMAGES = 50_000
_MAX_STEPS, _BATCH_SIZE = 1500, 128
_HELD_OUT = 0.05  # fraction of the images
_VALIDATION_INTERVAL, _PATIENCE = 100, 300  # steps
_VERSION = 2  # of this file: a changed classifier gives other scores


def load_classifier(config: Config) -> tuple[keras.Model, float, bool]:
    """Loads the classifier of a config's data set, or trains it once.

    It learns the labels or, if the data set has attributes instead, as CelebA has,
    the attributes, from at most 1,500 batches of 128 images of the training size. The
    weights with the lowest loss on held-out images are cached: a network that has
    memorized its training images computes other features for them than for any other
    image.

    Args:
        config: `Config`.

    Returns:
        - A Keras model from images, float `[batch, size, size, channels]` in
          `[-1, 1]`, to features, float32 `[batch, 128]`, and logits.
        - Its held-out accuracy, a float in `[0, 1]`.
        - Boolean, whether each image has one class, so that its logits are of classes.

    Raises:
        UserError: if the data set is missing or has no labels.
    """
    # The images are chosen independently of the run's seed.
    config = dataclasses.replace(config, seed=0)
    key = digest([_VERSION, describe_data(config)])
    folder = cache_dir() / "classifiers"
    path = folder / f"{config.dataset.replace('/', '_')}-{key}.keras"
    card_path = path.with_suffix(".json")
    if not path.exists():
        print(f"Training the classifier of {config.dataset}, once (about a minute)")
        network, card = _train(config)
        folder.mkdir(parents=True, exist_ok=True)
        # The card first: a cached network always has its card.
        card_path.write_text(json.dumps(card))
        partial = folder / f"{os.getpid()}-{path.name}"
        network.save(partial)
        os.replace(partial, path)
    card = json.loads(card_path.read_text())
    network = keras.saving.load_model(path, compile=False)
    return network, card["accuracy"], card["classes"]


def _train(config: Config) -> tuple[keras.Model, dict[str, Any]]:
    images, labels = _load_labeled(config)
    multi_label = labels.ndim == 2
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    held_out, rest = np.split(order, [max(1, int(_HELD_OUT * len(order)))])
    network = _build(config, labels.shape[1] if multi_label else int(labels.max()) + 1)
    learner = keras.Model(network.inputs, network.outputs[1])
    if multi_label:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learning_rate = keras.optimizers.schedules.CosineDecay(2e-3, _MAX_STEPS)
    learner.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)

    lowest_loss, best_step = np.inf, 0
    for step in tqdm(
        range(1, _MAX_STEPS + 1),
        desc=f"Training the classifier of {config.dataset}, once",
        leave=False,
        disable=None,  # without a terminal
    ):
        chosen = random.choice(rest, _BATCH_SIZE)
        learner.train_on_batch(scale(images[chosen]), labels[chosen])
        if step % _VALIDATION_INTERVAL and step < _MAX_STEPS:
            continue
        validation_loss, held_out_accuracy = _validate(
            learner, images[held_out], labels[held_out]
        )
        if validation_loss < lowest_loss:
            lowest_loss, best_step = validation_loss, step
            weights, accuracy = network.get_weights(), held_out_accuracy
        elif step - best_step >= _PATIENCE:
            break
    if not best_step:
        raise UserError(
            f"The classifier of {config.dataset} could not be trained: its loss is NaN"
        )
    network.set_weights(weights)
    return network, {"accuracy": accuracy, "classes": not multi_label}


def _load_labeled(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Returns images with labels, int `[N]`, or attributes, int `[N, attributes]`."""
    images, labels = load_images(config, _MAX_IMAGES)
    targets: np.ndarray | None = labels
    if (labels < 0).any():
        targets = load_attributes(config, _MAX_IMAGES)
    if targets is None or len(targets) != len(images):
        raise UserError(
            f"{config.dataset} has no labels to train a classifier on. Use another "
            "extractor: inception, or the path of a Keras model or SavedModel"
        )
    if targets.ndim == 1 and len(np.unique(targets)) < 2:
        raise UserError(
            f"{config.dataset} has only one class, so there is nothing to classify. "
            "Use another extractor: inception, or the path of a Keras model"
        )
    return images, targets


def _validate(
    learner: keras.Model, images: np.ndarray, labels: np.ndarray
) -> tuple[float, float]:
    """Returns loss and accuracy."""
    batches = np.array_split(images, -(-len(images) // _BATCH_SIZE))
    logits = np.concatenate([learner(scale(batch)) for batch in batches])
    predicted = logits > 0 if labels.ndim == 2 else logits.argmax(axis=1)
    loss = float(learner.loss(labels, logits))
    return loss, float((predicted == labels).mean())


def _build(config: Config, outputs: int) -> keras.Model:
    """Strided convolutions down to 4x4, a dense layer of features, one of logits."""
    layers, seeds = keras.layers, itertools.count()

    def initializer() -> keras.initializers.Initializer:
        # With seeds of its own: the global seed is the run's.
        return keras.initializers.GlorotUniform(next(seeds))

    size, filters = config.image_size, 32
    x = images = keras.Input((size, size, config.channels))
    while size > 4:
        x = layers.Conv2D(filters, 3, 2, "same", kernel_initializer=initializer())(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        size, filters = size // 2, min(2 * filters, 128)
    x = layers.Dropout(0.3, seed=next(seeds))(layers.Flatten()(x))
    x = layers.Dense(
        FEATURES, "relu", kernel_initializer=initializer(), name="features"
    )(x)
    dropped = layers.Dropout(0.3, seed=next(seeds))(x)
    logits = layers.Dense(outputs, kernel_initializer=initializer(), name="logits")(
        dropped
    )
    return keras.Model(images, [x, logits])
