"""Checks of an installation, of a run and of data, for the command `doctor`.

Each check runs on its own: one that raises an exception becomes a failing line, and the
next ones run. Nothing is imported here that a broken installation may lack.
"""

from collections.abc import Iterator
from pathlib import Path

from sagan_tf.doctor import data, environment, machine, runs, training
from sagan_tf.doctor.findings import Finding, run_check

__all__ = ["Finding", "examine"]


def examine(
    dataset: str | None = None,
    data_dir: str | None = None,
    workdir: str | None = None,
) -> Iterator[Finding]:
    """Yields the findings of all checks, each as soon as it is known.

    Args:
        dataset: Preset, data set of TensorFlow Datasets or `"folder"`, as for training.
            The default is the run's, or `"folder"` if only `data_dir` is given.
        data_dir: Folder of images, or of prepared TensorFlow Datasets.
        workdir: Run directory, or folder of networks. Nothing is written there.
    """
    for check in environment.list_checks():
        yield from run_check(check)
    works = environment.tensorflow_works()
    if workdir is not None:
        workdir = str(runs.find_folder(workdir))
    checks = machine.list_checks(workdir)
    if workdir is not None:
        checks += runs.list_checks(Path(workdir))
    checks += data.list_checks(dataset, data_dir, workdir)
    for check in [*checks, *training.list_checks()]:
        if check.needs_tensorflow and not works:
            yield Finding(check.name, "skipped", "needs TensorFlow and Keras")
        else:
            yield from run_check(check)
