"""Checks the installation, and a run or data if they are given."""

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.doctor import Finding, examine
from sagan_tf.errors import UserError
from sagan_tf.text import count, printable


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.string(
        "dataset",
        None,
        "Data to check: a preset's name, folder, or a set of TensorFlow Datasets. The "
        "default is the run's with --workdir, else folder, if there is --data_dir.",
    )
    define.string(
        "data_dir", None, "Folder of images, or of prepared TensorFlow Datasets."
    )
    define.string(
        "workdir", None, "Run directory to check, such as runs/digits. It is only read."
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command.

    Raises:
        UserError: if a check failed.
    """
    statuses = []
    for finding in examine(values.dataset, values.data_dir, values.workdir):
        print(_format(finding), flush=True)
        statuses.append(finding.status)
    failures, warnings = statuses.count("failure"), statuses.count("warning")
    summary = f"{count(failures, 'failure')}, {count(warnings, 'warning')}"
    if failures:
        raise UserError(f"{summary}. Lines with -> say what to do")
    print(summary)


def _format(finding: Finding) -> str:
    line = f"{finding.status:<9}{finding.name:<15}{printable(finding.found)}"
    if finding.remedy:
        line += f"\n{'':<9}->  {printable(finding.remedy)}"
    return line
