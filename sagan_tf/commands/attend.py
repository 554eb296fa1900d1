"""Shows where a run's attention looks: overlays, and a page to explore."""

from pathlib import Path

from absl import flags, logging

from sagan_tf.commands._run import WORKDIR, open_run, parse_labels
from sagan_tf.errors import UserError

_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 8, "How many generated images.", lower_bound=1
)
_NUM_REAL = flags.DEFINE_integer(
    "num_real", 8, "How many real ones, for the discriminator.", lower_bound=0
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.")
_LABELS = flags.DEFINE_list(
    "labels",
    None,
    "Classes of the generated images, by number or name; real ones are of any class.",
)
_POINTS = flags.DEFINE_string(
    "points",
    None,
    "Points that look, 'x,y;x,y' in pixels of the image from its top left corner; by "
    "default five in each image, well apart.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; by default attention/ in the run's."
)


def run():
    """Runs the command."""
    from sagan_tf.visualization.attend import write_attention

    points = _parse_points(_POINTS.value)
    trained = open_run()
    folder = Path(_OUTPUT.value or Path(WORKDIR.value) / "attention")
    effects = write_attention(
        trained,
        folder,
        _NUM_IMAGES.value,
        _SEED.value,
        parse_labels(_LABELS.value, trained.config, _NUM_IMAGES.value),
        _load_real(trained.config),
        points,
    )
    print(
        "|γ·o| / |x|, how much each block changes, of generated images, what it gets:"
    )
    for name, effect in effects.items():
        print(f"  {name:<24}{effect:8.2%}")
    print(f"Overlays: {folder}")
    print(f"Explore:  {folder / 'attention.html'}, in any browser")


def _load_real(config):
    from sagan_tf.data.sources import load_images, take_first

    if not _NUM_REAL.value:
        return None
    try:
        first = take_first(config, _NUM_REAL.value)
        return load_images(first, _NUM_REAL.value, download=False)
    except UserError as error:  # a run may well be looked at where its data are not
        logging.warning("Without real images: %s. Give --num_real=0", error)
        return None


def _parse_points(text):
    if text is None:
        return None
    try:
        points = [
            tuple(int(number) for number in point.split(","))
            for point in text.split(";")
        ]
        if any(len(point) != 2 for point in points):
            raise ValueError
    except ValueError:
        raise UserError(
            f"--points takes 'x,y;x,y', in pixels. Received: {text}"
        ) from None
    return points
