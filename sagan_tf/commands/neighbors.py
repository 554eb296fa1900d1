"""Shows samples with their nearest training images, to detect memorization."""

from absl import flags

from sagan_tf.commands.run_flags import (
    define_data_flag,
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define_data_flag(values)
    define.integer("num_images", 8, "Number of samples.", lower_bound=1)
    define.integer(
        "neighbors", 7, "Number of training images beside each sample.", lower_bound=1
    )
    define_seed_flag(values)
    define.string(
        "output",
        None,
        "FILE.png. The default is a new one in samples/ of the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    result = open_run(values).neighbors(
        output=values.output,
        num_images=values.num_images,
        neighbors=values.neighbors,
        seed=values.seed,
    )
    print("Distance to the nearest training image (RMS of the pixels, 0 to 255):")
    print("                               median   smallest")
    _, sample, real, smallest_sample, smallest_real, num_duplicates = result
    print(f"  of samples                 {sample:9.2f}  {smallest_sample:9.2f}")
    print(f"  of other training images   {real:9.2f}  {smallest_real:9.2f}")
    if num_duplicates:
        print(
            f"Training images compared that exist more than once: {num_duplicates}. "
            "Their distance is that to the nearest image that differs."
        )
    print("A sample much closer than training images are to one another is a copy.")
    print(f"Samples, each with its nearest training images, saved to {result.path}")
