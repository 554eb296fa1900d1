"""Makes a film of a run's training from its grids of the same latents."""

from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from sagan_tf.commands._run import WORKDIR
from sagan_tf.errors import UserError

_FPS = flags.DEFINE_float("fps", 6.0, "Grids a second.", lower_bound=0.1)
_OUTPUT = flags.DEFINE_string(
    "output", None, "FILE.gif or FILE.mp4; by default training.gif in the run's folder."
)


def run():
    """Runs the command."""
    from sagan_tf.visualization.film import FILM_SUFFIXES, save_film

    workdir = Path(WORKDIR.value)
    output = Path(_OUTPUT.value or workdir / "training.gif")
    if output.suffix not in FILM_SUFFIXES:
        raise UserError(
            f"--output takes FILE.gif or FILE.mp4. Received: {_OUTPUT.value}"
        )
    grids = (p for p in (workdir / "samples").glob("*.png") if p.stem.isdigit())
    grids = sorted(grids, key=lambda path: int(path.stem))
    if len(grids) < 2:
        raise UserError(
            f"A film needs two grids or more in {workdir / 'samples'}, and there are "
            f"{len(grids)}. Train on, or with a lower --sample_interval"
        )
    frames = []
    for grid in grids:
        with Image.open(grid) as picture:
            frame = np.asarray(picture)
        frames.append(frame[..., None] if frame.ndim == 2 else frame)
    # The last one stays for a second.
    save_film(frames + [frames[-1]] * round(_FPS.value), output, _FPS.value)
    first, last = int(grids[0].stem), int(grids[-1].stem)
    print(f"{len(grids)} grids, steps {first} to {last}: {output}")
