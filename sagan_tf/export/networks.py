"""Networks to hand on: their weights, settings, scores, samples and a card."""

import dataclasses
import json
from pathlib import Path

from sagan_tf.export.card import (
    make_card,
    public_scores,
    without_paths,
    write_card,
)
from sagan_tf.export.inference import replacing_export
from sagan_tf.files import write_text
from sagan_tf.model_files import FILE, save_networks
from sagan_tf.records import SCORES
from sagan_tf.run import Run, load_run


def count_samples(image_size: int) -> int:
    """Returns how many images are in `samples.png`, 256 px wide: a small file."""
    return max(256 // image_size, 2) ** 2


def export_networks(run: Run, path: str | Path) -> Path:
    """Writes what another person needs to use a run's networks with this package.

        PATH/config.json    the settings, without paths, and in float32
        PATH/networks.npz   the EMA generator and the discriminator; see `save_networks`
        PATH/samples.png    generated images
        PATH/scores.json    the records of `Run.evaluate`
        PATH/README.md      the model card

    `load_run(PATH)` and the commands that use a checkpoint (`--workdir=PATH`) read it,
    and `--init_from=PATH` starts a training from it. Resuming needs the run itself.

    Args:
        run: `Run`.
        path: Folder to write. An earlier export there is replaced.

    Returns:
        The path.

    Raises:
        UserError: if it cannot be written. An earlier export stays as it is then.
    """
    path = Path(path)
    with replacing_export(path, FILE) as partial:
        write_networks(run, partial)
        write_card(partial, make_card(run), path)
    return path


def write_networks(run: Run, folder: Path) -> None:
    """Writes the files of `export_networks`, but the card, to an existing folder."""
    # Half precision is for training: its images differ between machines.
    config = dataclasses.replace(without_paths(run.config), precision="float32")
    write_text(folder / "config.json", config.to_json())
    save_networks(run, folder / FILE)
    # Always there, so that it is known as a file of an export.
    write_text(folder / SCORES, json.dumps(public_scores(run), indent=2) + "\n")
    num_images = count_samples(config.image_size)
    load_run(folder).sample(folder / "samples.png", num_images=num_images)
