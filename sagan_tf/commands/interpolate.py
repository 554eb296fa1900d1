"""Interpolates between random latents, or between classes."""

from absl import flags

from sagan_tf.commands.run_flags import (
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
)
from sagan_tf.text import count


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.integer(
        "num_images",
        4,
        "Number of paths: rows of a grid, or tiles of a video.",
        lower_bound=1,
    )
    define.integer(
        "steps", 9, "Images from one latent to the next, both included.", lower_bound=2
    )
    define.integer(
        "latents",
        None,
        "Latents per path. The default is 2, and 4 in a video.",
        lower_bound=2,
    )
    define.list(
        "labels",
        None,
        "Two or more classes by number or name, to go through with one latent.",
    )
    define.enum(
        "method",
        "spherical",
        ["spherical", "linear"],
        "spherical (slerp) or linear (lerp), for latents; classes are always linear.",
    )
    define_seed_flag(values)
    define.float("truncation", 1.0, "Factor that latents are scaled by.")
    define.float("fps", 12.0, "Images per second of a video.", lower_bound=0.1)
    define.string(
        "output",
        None,
        "FILE.png for a grid with one row per path; FILE.gif or FILE.mp4 for a looping "
        "video. The default is a new PNG in samples/ of the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    samples = run.interpolate(
        output=values.output,
        num_paths=values.num_images,
        steps=values.steps,
        num_latents=values.latents,
        labels=values.labels,
        method=values.method,
        seed=values.seed,
        truncation=values.truncation,
        frames_per_second=values.fps,
    )
    paths = count(values.num_images, "path")
    images = count(len(samples.images) // values.num_images, "image")
    print(f"{paths} of {images}, step {run.step}, saved to {samples.path}")
