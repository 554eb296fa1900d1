"""Generates images into a grid, an array file or a folder."""

from absl import flags

from sagan_tf.commands.run_flags import (
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
    parse_numbers,
)
from sagan_tf.text import count, format_names, printable


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.integer(
        "num_images",
        None,
        "Number of images. The default is 64, or one per label.",
        lower_bound=1,
    )
    define_seed_flag(values)
    define.list(
        "truncation",
        ["1"],
        "Factor that latents are scaled by; below 1 images are safer and more alike. "
        "Several, such as 0.25,0.5,1, make a grid with one row each.",
    )
    define.list(
        "labels",
        None,
        "Classes by name or number, as names if both fit. One is that of all images; "
        "several are those of one image each, repeated up to --num_images. A name with "
        "a comma is quoted: --labels='\"cats, small\",dogs'. By default a grid has one "
        "row per class, and other outputs have random classes.",
    )
    define.integer(
        "standing_statistics",
        0,
        "Recompute the batch statistics over this many batches of 64. 0 uses those of "
        "training.",
        lower_bound=0,
    )
    define.string(
        "output",
        None,
        "FILE.png for a grid, FILE.npz for arrays, or a folder for one file per image. "
        "The default is a new grid in samples/ of the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    truncation = parse_numbers("truncation", values.truncation)
    run = open_run(values)
    samples = run.sample(
        output=values.output,
        num_images=values.num_images,
        seed=values.seed,
        truncation=truncation,
        labels=values.labels,
        standing_statistics=values.standing_statistics,
    )
    images = count(len(samples.images), "image")
    print(f"{images} of step {run.step} saved to {samples.path}")
    if samples.rows:
        kind = "Truncations" if len(truncation) > 1 else "Classes"
        rows = format_names(samples.rows)
        print(printable(f"{kind}, from the top row: {rows}"))
