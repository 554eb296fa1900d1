"""Goes from image to image through the latents, or from class to class."""

from pathlib import Path

import numpy as np
from absl import flags

from sagan_tf.commands._run import WORKDIR, open_run, parse_labels
from sagan_tf.errors import UserError

_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 4, "How many paths, a row or a tile each.", lower_bound=1
)
_STEPS = flags.DEFINE_integer(
    "steps", 9, "Images from one latent to the next, with both ends.", lower_bound=2
)
_LATENTS = flags.DEFINE_integer(
    "latents", None, "Latents on a path; by default 2, in a film 4.", lower_bound=2
)
_LABELS = flags.DEFINE_list(
    "labels",
    None,
    "Classes, by number or name, to go through one after the other, with the latent "
    "as it is.",
)
_METHOD = flags.DEFINE_enum(
    "method",
    "spherical",
    ["spherical", "linear"],
    "How to go between latents; between classes it is linear.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_TRUNCATION = flags.DEFINE_float("truncation", 1.0, "What latents are multiplied by.")
_FPS = flags.DEFINE_float("fps", 12.0, "A film's images a second.", lower_bound=0.1)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "FILE.png for a row a path; FILE.gif, or FILE.mp4, for a film that loops; by "
    "default a PNG in samples/ in the run's folder.",
)


def run():
    """Runs the command."""
    from sagan_tf.visualization import make_image_grid, save_image_grid
    from sagan_tf.visualization.film import FILM_SUFFIXES, save_film

    name = f"interpolation_seed{_SEED.value}.png"
    output = Path(_OUTPUT.value or Path(WORKDIR.value) / "samples" / name)
    if output.suffix not in (".png", *FILM_SUFFIXES):
        raise UserError(
            f"--output takes FILE.png, FILE.gif or FILE.mp4. Received: {_OUTPUT.value}"
        )
    film = output.suffix != ".png"
    trained = open_run()
    latents, labels = _make_paths(trained, closed=film)
    length, count = latents.shape[:2]
    images = trained.model.render(
        latents.reshape(length * count, -1),
        None if labels is None else labels.reshape(length * count, -1),
    )
    images = images.reshape(length, count, *images.shape[1:])
    if film:
        save_film([make_image_grid(tiles) for tiles in images], output, _FPS.value)
    else:
        rows = np.concatenate(images.swapaxes(0, 1))
        save_image_grid(rows, output, columns=length)
    print(f"{count} paths of {length} images, step {trained.step}: {output}")


def _make_paths(trained, closed):
    """Latents `[length, paths, latent_dim]`, and labels `[length, paths, classes]`."""
    from sagan_tf.visualization.interpolation import interpolate

    model, paths, steps = trained.model, _NUM_IMAGES.value, _STEPS.value
    labels = parse_labels(_LABELS.value, trained.config)
    if labels is not None:
        if len(labels) < 2:
            raise UserError("--labels takes two classes or more to go through")
        corners = np.eye(model.num_classes)[labels]
        weights = interpolate(corners, steps, "linear", closed)
        latents = model.sample_latents(paths, _SEED.value, _TRUNCATION.value)
        return (
            np.broadcast_to(latents, (len(weights), *latents.shape)),
            np.repeat(weights[:, None], paths, axis=1),
        )
    corners = _LATENTS.value or (4 if closed else 2)
    latents = model.sample_latents(paths * corners, _SEED.value, _TRUNCATION.value)
    latents = np.reshape(latents, (paths, corners, -1)).swapaxes(0, 1)
    latents = interpolate(latents, steps, _METHOD.value, closed)
    if not model.num_classes:
        return latents, None
    chosen = np.arange(paths) % model.num_classes  # a class a path
    weights = np.eye(model.num_classes, dtype=np.float32)[chosen]
    return latents, np.broadcast_to(weights, (len(latents), *weights.shape))
