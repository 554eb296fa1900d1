"""Writes a page about a run, or about several side by side."""

from pathlib import Path

from absl import flags

from sagan_tf.commands.run_flags import define_workdirs_flag, definers, find_workdirs
from sagan_tf.start_tensorflow import start_tensorflow


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define_workdirs_flag(values)
    definers(values).string(
        "output",
        None,
        "FILE.html to write. The default is report.html in the run directory; with "
        "several, in the current folder.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    workdirs = find_workdirs(values)
    start_tensorflow()
    from sagan_tf.report.page import write_report

    folder = Path(workdirs[0]) if len(workdirs) == 1 else Path()
    path = write_report(workdirs, values.output or folder / "report.html")
    print(f"Saved to {path}, for any browser")
