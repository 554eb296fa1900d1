"""Draws images from a run into a grid, an array file or a folder."""

import difflib
import itertools
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from sagan_tf.errors import UserError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "How many images; by default 64.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_TRUNCATION = flags.DEFINE_float(
    "truncation", 1.0, "What latents are multiplied by; below 1, safer and more alike."
)
_LABELS = flags.DEFINE_list(
    "labels",
    None,
    "Classes, by number or name: one image each, or over and over up to --num_images. "
    "By default a grid has a row a class, and other outputs random classes.",
)
_STANDING_STATISTICS = flags.DEFINE_integer(
    "standing_statistics",
    0,
    "Batches of 64 over which batch statistics are taken anew; by default those of "
    "training are used.",
    lower_bound=0,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "FILE.png for a grid, FILE.npz for arrays, or a folder for one file an image; "
    "by default samples/ in the run's folder.",
)


def run():
    """Runs the command."""
    from sagan_tf.training import load_run
    from sagan_tf.visualization import arrange_classes, save_image_grid

    workdir = Path(_WORKDIR.value)
    default = workdir / "samples" / f"seed{_SEED.value}.png"
    output = Path(_OUTPUT.value or default)
    if output.suffix not in (".png", ".npz", ""):
        raise UserError(
            f"--output takes FILE.png, FILE.npz or a folder. Received: {_OUTPUT.value}"
        )
    trained = load_run(workdir)
    model, seed = trained.model, _SEED.value
    count, columns = _NUM_IMAGES.value or 64, None
    if _LABELS.value is not None:
        labels = _parse_labels(_LABELS.value, trained.config)
        count = _NUM_IMAGES.value or len(labels)
        labels = list(itertools.islice(itertools.cycle(labels), count))
    elif output.suffix == ".png":
        labels, columns = arrange_classes(count, model.num_classes)
        count = count if labels is None else len(labels)
    else:
        labels = model.sample_labels(count, seed) if model.num_classes else None
    if _STANDING_STATISTICS.value:
        model.take_standing_statistics(_STANDING_STATISTICS.value)
    images = model.generate(count, seed, _TRUNCATION.value, labels)

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".png":
        save_image_grid(images, output, columns)
    elif output.suffix == ".npz":
        latents = model.sample_latents(count, seed, _TRUNCATION.value).numpy()
        classes = {} if labels is None else {"labels": np.int32(labels)}
        np.savez(output, images=images, latents=latents, **classes)
    else:
        output.mkdir(exist_ok=True)
        for i, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            picture.save(output / f"{i:06d}.png")
    print(f"{count} images of step {trained.step}: {output}")


def _parse_labels(values, config):
    """Labels from what the user wrote: numbers, or the names of classes."""
    if not config.num_classes:
        raise UserError(
            f"The run in {config.workdir} has no classes: leave out --labels"
        )
    labels = []
    for value in values:
        if value in config.classes:
            labels.append(config.classes.index(value))
        elif value.isdigit() and int(value) < config.num_classes:
            labels.append(int(value))
        else:
            close = difflib.get_close_matches(value, config.classes, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise UserError(
                f"The run in {config.workdir} has no class {value!r}.{hint} It has "
                f"0 to {config.num_classes - 1}: {_shorten(config.classes)}"
            )
    if not labels:
        raise UserError("--labels is empty: give numbers or names of classes")
    return labels


def _shorten(names):
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown}, ..."
