"""Makes a training video from a run's sample grids."""

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.text import count


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.string("workdir", None, "Run directory, such as runs/digits.", required=True)
    define.float("fps", 6.0, "Grids per second.", lower_bound=0.1)
    define.string(
        "output",
        None,
        "FILE.gif or FILE.mp4. The default is a new GIF in the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    from sagan_tf.visualization.video import write_training_video

    video = write_training_video(values.workdir, values.output, values.fps)
    print(
        f"{count(video.num_grids, 'grid')}, steps {video.first_step} to "
        f"{video.last_step}, saved to {video.path}"
    )
