"""A small network that tells a data set's classes, for figures without Inception."""

import dataclasses
import itertools
import json
import os

import keras
import numpy as np
from tqdm import tqdm

from sagan_tf.data.preprocessing import scale
from sagan_tf.data.sources import load_attributes, load_images
from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import cache_dir, describe_data, digest

FEATURES = 128
_IMAGES = 50_000  # at most
_STEPS, _BATCH = 1500, 128  # steps at most
_HELD_OUT = 0.05
_CHECK, _PATIENCE = 100, 300  # steps between looks at what is held out; steps in vain
_VERSION = 2  # of what is below: another gives other figures


def load_classifier(config):
    """Loads the classifier of a config's data set, or trains it, once.

    It learns the set's labels or, where it has attributes in their place as CelebA
    does, those, on at most 1,500 batches of 128 images of the training size. What is
    kept, in the cache, are its weights of when the loss of images held out was lowest:
    a network that knows its training images by heart has other features for these
    than for any other image.

    Args:
        config: `Config`.

    Returns:
        - A Keras model from images, float `[batch, size, size, channels]` in
          `[-1, 1]`, to features, float32 `[batch, 128]`, and logits.
        - Its accuracy on images that it was not trained on.
        - Boolean, whether its logits are of classes, each image having one.

    Raises:
        UserError: if the data set is not there, or has no labels.
    """
    # The choice of images is the classifier's own, not the run's.
    config = dataclasses.replace(config, seed=0)
    known_by = digest([_VERSION, describe_data(config)])
    folder = cache_dir() / "classifiers"
    path = folder / f"{config.dataset.replace('/', '_')}-{known_by}.keras"
    card_path = path.with_suffix(".json")
    if not path.exists():
        network, card = _train(config)
        folder.mkdir(parents=True, exist_ok=True)
        # The card first: where the network is, its card is too.
        card_path.write_text(json.dumps(card))
        partial = folder / f"{os.getpid()}-{path.name}"
        network.save(partial)
        os.replace(partial, path)
    card = json.loads(card_path.read_text())
    network = keras.saving.load_model(path, compile=False)
    return network, card["accuracy"], card["classes"]


def _train(config):
    images, labels = load_images(config, _IMAGES)
    if (labels < 0).any():
        labels = load_attributes(config, _IMAGES)
    if labels is None or len(labels) != len(images):
        raise UserError(
            f"{config.dataset} has no labels to train a classifier on. Take another "
            "extractor: inception, or the path of a Keras model or SavedModel"
        )
    several = labels.ndim == 2  # attributes: each there or not
    if not several and len(np.unique(labels)) < 2:
        raise UserError(
            f"{config.dataset} has one class, and a classifier tells nothing then. "
            "Take another extractor: inception, or the path of a Keras model"
        )
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    held_out, rest = np.split(order, [max(1, int(_HELD_OUT * len(order)))])
    network = _build(config, labels.shape[1] if several else int(labels.max()) + 1)
    learner = keras.Model(network.inputs, network.outputs[1])
    if several:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, _STEPS)
    learner.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)

    least_loss, best_step = np.inf, 0
    for step in tqdm(
        range(1, _STEPS + 1),
        desc=f"A classifier of {config.dataset}, once",
        leave=False,
    ):
        chosen = random.choice(rest, _BATCH)
        learner.train_on_batch(scale(images[chosen]), labels[chosen])
        if step % _CHECK and step < _STEPS:
            continue
        own_loss, right = _look(learner, images, labels, held_out)
        if own_loss < least_loss:
            least_loss, best_step = own_loss, step
            weights, accuracy = network.get_weights(), right
        elif step - best_step >= _PATIENCE:
            break
    if not best_step:
        raise UserError(
            f"The classifier of {config.dataset} learns nothing: its loss is no number"
        )
    network.set_weights(weights)
    return network, {"accuracy": accuracy, "classes": not several}


def _look(learner, images, labels, places):
    """Loss, and share of right answers, for some of the images."""
    parts = np.array_split(places, -(-len(places) // _BATCH))
    logits = np.concatenate([learner(scale(images[part])) for part in parts])
    told = logits > 0 if labels.ndim == 2 else logits.argmax(axis=1)
    loss = float(learner.loss(labels[places], logits))
    return loss, float((told == labels[places]).mean())


def _build(config, outputs):
    """Strided convolutions down to 4x4, a dense layer of features, one of logits."""
    layers, seeds = keras.layers, itertools.count()

    def start():
        # Seeds of its own: the process' are the run's.
        return keras.initializers.GlorotUniform(next(seeds))

    size, filters = config.image_size, 32
    x = images = keras.Input((size, size, config.channels))
    while size > 4:
        x = layers.Conv2D(filters, 3, 2, "same", kernel_initializer=start())(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        size, filters = size // 2, min(2 * filters, 128)
    x = layers.Dropout(0.3, seed=next(seeds))(layers.Flatten()(x))
    x = layers.Dense(FEATURES, "relu", kernel_initializer=start(), name="features")(x)
    dropped = layers.Dropout(0.3, seed=next(seeds))(x)
    logits = layers.Dense(outputs, kernel_initializer=start(), name="logits")(dropped)
    return keras.Model(images, [x, logits])
