"""Draws images from a run into a grid, an array file or a folder."""

from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from sagan_tf.commands._run import WORKDIR, open_run, parse_labels
from sagan_tf.errors import UserError

_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "How many images; by default 64.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_TRUNCATION = flags.DEFINE_list(
    "truncation",
    ["1"],
    "What latents are multiplied by; below 1, safer and more alike. Several, such as "
    "0.25,0.5,1, make a grid with a row each, of the same latents.",
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
    from sagan_tf.visualization import arrange_classes, save_image_grid

    output = Path(
        _OUTPUT.value or Path(WORKDIR.value) / "samples" / f"seed{_SEED.value}.png"
    )
    if output.suffix not in (".png", ".npz", ""):
        raise UserError(
            f"--output takes FILE.png, FILE.npz or a folder. Received: {_OUTPUT.value}"
        )
    truncations = _parse_truncations(_TRUNCATION.value)
    if len(truncations) > 1 and output.suffix != ".png":
        raise UserError("Several truncations make a grid: give --output=FILE.png")

    if not output.suffix and output.is_dir() and any(output.iterdir()):
        raise UserError(f"{output} is not empty: give a new folder")

    trained = open_run()
    model, seed = trained.model, _SEED.value
    labels = parse_labels(_LABELS.value, trained.config, _NUM_IMAGES.value)
    count, columns = _NUM_IMAGES.value or 64, None
    if labels is not None:
        count = len(labels)
    elif len(truncations) > 1:
        count = _NUM_IMAGES.value or 8
    elif model.num_classes and output.suffix == ".png":
        labels, columns = arrange_classes(count, model.num_classes)
        count = len(labels)
    if labels is None and model.num_classes:
        labels = model.sample_labels(count, seed).numpy()
    if _STANDING_STATISTICS.value:
        model.take_standing_statistics(_STANDING_STATISTICS.value)
    # A row a truncation, of the same latents.
    latents = np.concatenate(
        [model.sample_latents(count, seed, truncation) for truncation in truncations]
    )
    if len(truncations) > 1:
        columns = count
        labels = None if labels is None else np.tile(labels, len(truncations))
    images = model.render(latents, labels)

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".png":
        save_image_grid(images, output, columns)
    elif output.suffix == ".npz":
        classes = {} if labels is None else {"labels": np.int32(labels)}
        np.savez(output, images=images, latents=latents, **classes)
    else:
        output.mkdir(exist_ok=True)
        for i, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            picture.save(output / f"{i:06d}.png")
    print(f"{len(images)} images of step {trained.step}: {output}")
    if len(truncations) > 1:
        print(f"Truncations, from the top row: {', '.join(_TRUNCATION.value)}")
    elif columns:
        names = [trained.config.classes[label] for label in labels[::columns]]
        print(f"Classes, from the top row: {', '.join(names)}")


def _parse_truncations(values):
    try:
        truncations = [float(value) for value in values]
    except ValueError:
        truncations = []
    if not truncations or not np.isfinite(truncations).all():
        raise UserError(
            f"--truncation takes numbers, such as 0.5,1. Received: {','.join(values)}"
        )
    return truncations
