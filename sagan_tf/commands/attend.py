"""Shows what a run attends to: overlays, and a page to explore."""

from absl import flags

from sagan_tf.commands.run_flags import (
    define_data_flag,
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
)
from sagan_tf.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define_data_flag(values)
    define.integer("num_images", 8, "Number of generated images.", lower_bound=1)
    define.integer(
        "num_real",
        8,
        "Number of real images, for the discriminator; 0 for none.",
        lower_bound=0,
    )
    define_seed_flag(values)
    define.list("labels", None, "Classes of the generated images, by number or name.")
    define.string(
        "points",
        None,
        "Query points, 'x,y;x,y' in pixels from the top left corner. By default five "
        "are chosen in each image.",
    )
    define.string(
        "output",
        None,
        "Folder to write. The default is a new one in attention/ of the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    points = None if values.points is None else _parse_points(values.points)
    effects, folder = open_run(values).attend(
        folder=values.output,
        num_images=values.num_images,
        num_real=values.num_real,
        seed=values.seed,
        labels=values.labels,
        points=points,
    )
    print("|γ·o| / |x|: how much each attention layer changes its input")
    for name, effect in effects.items():
        print(f"  {name:<24}{effect:8.2%}")
    print(f"Overlays: {folder}")
    print(f"Explore:  {folder / 'attention.html'}, in any browser")


def _parse_points(text: str) -> list[tuple[int, int]]:
    try:
        return [
            (int(x), int(y)) for x, y in (point.split(",") for point in text.split(";"))
        ]
    except ValueError:
        raise UserError(
            f"--points takes 'x,y;x,y', in pixels. Received: {text}"
        ) from None
