"""The two sets of images that a figure compares: where they come from."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sagan_tf.data.sources import choose, list_splits, load_images
from sagan_tf.errors import UserError
from sagan_tf.evaluation.cache import describe_data

CHUNK = 500


class ImageSet(NamedTuple):
    """Images that are only made or loaded when they are gone through.

    Attributes:
        name: What they are, for a protocol.
        known_by: What decides which images they are, as JSON, if that is known.
        load: Function without arguments to a count, the labels, int `[N]` or None,
            and an iterable of uint8 arrays `[<= 500, size, size, channels]`.
    """

    name: str
    known_by: dict | None
    load: Callable


def generated_images(model, step, num_images, seed=0, truncation=1.0, ema=True):
    """The images that `SAGAN.generate` gives, and random labels where there are any.

    Args:
        model: `SAGAN`.
        step: Integer, the step it is at.
        num_images: Positive integer.
        seed: Integer.
        truncation: Float, what latents are multiplied by.
        ema: Boolean, whether by the averaged generator, or by the raw one.
    """

    def load():
        latents = model.sample_latents(num_images, seed, truncation)
        labels = None
        if model.num_classes:
            labels = model.sample_labels(num_images, seed).numpy()
        return num_images, labels, chunks(latents, labels)

    def chunks(latents, labels):
        for start in range(0, num_images, CHUNK):
            part = slice(start, start + CHUNK)
            yield render(latents[part], None if labels is None else labels[part])

    def render(latents, labels):
        if ema:
            return model.render(latents, labels)
        averaged = model.ema_generator.get_weights()
        model.ema_generator.set_weights(model.generator.get_weights())
        try:
            return model.render(latents, labels)
        finally:
            model.ema_generator.set_weights(averaged)

    network = "averaged generator" if ema else "raw generator"
    name = f"{network} at step {step}, seed {seed}, truncation {truncation:g}"
    return ImageSet(name, None, load)


def find_images(place, config, num_images=None):
    """Images of the run's data set, or of a file or folder.

    Args:
        place: A split of the data set, `FILE.npz` with `images` as `sample` writes it,
            or a folder of image files. What could be both is the split.
        config: The run's `Config`.
        num_images: Positive integer; of a larger set only this many are taken.

    Raises:
        UserError: if there is no such file, or, once loaded, if the images are not of
            the run's size and channels.
    """
    path = Path(place)
    # A folder that has the name of a split is given as ./train.
    is_split = place == config.split or (path.is_dir() and place in list_splits(config))
    if not is_split and (path.suffix == ".npz" or path.is_dir()):
        if not path.exists():
            raise UserError(f"There is no file {place}")
        load_all = _load_folder if path.is_dir() else _load_file
        return ImageSet(
            str(place), None, lambda: _in_chunks(*load_all(path, config, num_images))
        )
    if config.dataset not in ("digits", "folder"):
        name = f"{config.dataset} {place}"
    elif is_split:
        name = config.data_dir if config.dataset == "folder" else config.dataset
    else:
        raise UserError(
            f"{place} is no file or folder, and {config.dataset} has no splits: it is "
            f"{config.split} as a whole"
        )
    # Which images are taken is the figure's choice, and not the run's.
    config = dataclasses.replace(config, split=place, seed=0)
    crop = f", crop of {config.crop_size} px" if config.crop_size else ""
    return ImageSet(
        f"{name}{crop}, at {config.image_size} px",
        {**describe_data(config), "num_images": num_images},
        lambda: _in_chunks(*load_images(config, num_images)),
    )


def _in_chunks(images, labels):
    if labels is not None and (labels < 0).any():
        labels = None
    parts = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    return len(images), labels, parts


def _load_file(path, config, num_images):
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            images = arrays["images"]
            labels = arrays["labels"] if "labels" in arrays else None
    # A damaged .npz can fail in NumPy, zipfile or zlib, each in ways of its own.
    except Exception as error:
        raise UserError(f"{path} has no array 'images' to read ({error})") from None
    expected = (config.image_size, config.image_size, config.channels)
    if images.shape[1:] != expected or images.dtype != np.uint8 or not images.size:
        raise UserError(
            f"{path} must hold images like the run's, uint8 [N, {expected[0]}, "
            f"{expected[1]}, {expected[2]}]. Received: {images.dtype} "
            f"{list(images.shape)}"
        )
    if labels is not None and (
        labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer)
    ):
        raise UserError(
            f"{path} must hold an integer label for each of its {len(images)} images. "
            f"Received: {labels.dtype} {list(labels.shape)}"
        )
    if num_images is not None and num_images < len(images):
        chosen = choose(len(images), num_images, seed=0)
        return images[chosen], None if labels is None else labels[chosen]
    return images, labels


def _load_folder(path, config, num_images):
    config = dataclasses.replace(
        config, dataset="folder", data_dir=str(path), crop_size=None, seed=0
    )
    return load_images(config, num_images)
