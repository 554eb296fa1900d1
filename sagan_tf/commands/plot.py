"""Plots the logs of a run, or of several side by side, as a picture file."""

from pathlib import Path

from absl import flags

from sagan_tf.commands.run_flags import define_workdirs_flag, definers, find_workdirs


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_workdirs_flag(values)
    define.list(
        "columns",
        [],
        "Columns of logs/metrics.csv, scores, or panels such as Losses, each plotted "
        "in a panel of its own. The default is all panels.",
    )
    define.enum("x", "steps", ["steps", "hours"], "Horizontal axis.")
    define.string(
        "output",
        None,
        "FILE.png, FILE.pdf or FILE.svg to write. The default is plot.png in the run "
        "directory; with several, in the current folder.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    from sagan_tf.report.plot import write_plot

    workdirs = find_workdirs(values)
    folder = Path(workdirs[0]) if len(workdirs) == 1 else Path()
    output = values.output or folder / "plot.png"
    path = write_plot(workdirs, output, values.columns, values.x)
    print(f"Saved to {path}")
