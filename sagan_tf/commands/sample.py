"""Draws images from a run into a grid, an array file or a folder."""

from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from sagan_tf.errors import UserError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 64, "How many images.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_TRUNCATION = flags.DEFINE_float(
    "truncation", 1.0, "What latents are multiplied by; below 1, safer and more alike."
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
    from sagan_tf.visualization import save_image_grid

    workdir = Path(_WORKDIR.value)
    default = workdir / "samples" / f"seed{_SEED.value}.png"
    output = Path(_OUTPUT.value or default)
    if output.suffix not in (".png", ".npz", ""):
        raise UserError(
            f"--output takes FILE.png, FILE.npz or a folder. Received: {_OUTPUT.value}"
        )
    trained = load_run(workdir)
    images = trained.generate(_NUM_IMAGES.value, _SEED.value, _TRUNCATION.value)

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".png":
        save_image_grid(images, output)
    elif output.suffix == ".npz":
        latents = trained.model.sample_latents(
            len(images), _SEED.value, _TRUNCATION.value
        )
        np.savez(output, images=images, latents=latents.numpy())
    else:
        output.mkdir(exist_ok=True)
        for i, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            picture.save(output / f"{i:06d}.png")
    print(f"{len(images)} images of step {trained.step}: {output}")
