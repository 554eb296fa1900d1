"""Puts samples beside the training images nearest to them: has the run memorized?"""

from pathlib import Path

import numpy as np
from absl import flags

from sagan_tf.commands._run import WORKDIR, open_run
from sagan_tf.errors import UserError

_NUM_IMAGES = flags.DEFINE_integer("num_images", 8, "How many samples.", lower_bound=1)
_NEIGHBORS = flags.DEFINE_integer(
    "neighbors", 7, "How many training images beside each.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "FILE.png; by default one in samples/ in the run's folder.",
)
_COMPARED = 100  # samples, and training images, that the two distances are of


def run():
    """Runs the command."""
    from sagan_tf.data import load_images
    from sagan_tf.visualization import save_image_grid
    from sagan_tf.visualization.neighbors import find_nearest

    name = f"neighbors_seed{_SEED.value}.png"
    output = Path(_OUTPUT.value or Path(WORKDIR.value) / "samples" / name)
    if output.suffix != ".png":
        raise UserError(f"--output takes FILE.png. Received: {_OUTPUT.value}")
    trained = open_run()
    real, _ = load_images(trained.config)
    count, wanted = _NUM_IMAGES.value, _NEIGHBORS.value
    if wanted >= len(real):
        raise UserError(
            f"--neighbors={wanted} are too many: there are {len(real)} training images"
        )
    samples = trained.generate(max(count, _COMPARED), _SEED.value)
    mirrored = trained.config.horizontal_flip  # then that is how it saw half of them
    places, distances = find_nearest(samples, real, wanted, mirrored)
    white = np.full_like(samples[:1], 255)
    rows = [
        np.concatenate([sample[None], white, real[own]])
        for sample, own in zip(samples[:count], places, strict=False)
    ]
    save_image_grid(np.concatenate(rows), output, columns=wanted + 2)

    compared = min(_COMPARED, len(real))
    chosen = np.random.default_rng(0).choice(len(real), compared, replace=False)
    # Two, of which the first is itself.
    _, real_distances = find_nearest(real[chosen], real, 2, mirrored)
    print("To the nearest training image, root mean square of the pixels, medians:")
    print(f"  of a sample                 {np.median(distances[:, 0]):7.2f}")
    print(f"  of another training image   {np.median(real_distances[:, 1]):7.2f}")
    print("A sample much nearer than that is a copy.")
    print(f"Samples, and beside each the nearest training images: {output}")
