import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from sagan_tf.errors import UserError
from sagan_tf.files import delete, partial_path, sync, write_errors
from sagan_tf.text import first_line

_UNREADABLE = (AssertionError, IndexError, ValueError, OSError, tf.errors.OpError)


class Checkpoints:
    """Saves and restores everything that a run needs to resume exactly.

    A checkpoint holds both networks, the EMA generator, both optimizers with their
    iterations and moments, the step, and the metrics since the last row of the log.
    Latents and the position in the data are functions of the step.

    A checkpoint is the files `step-N.data-00000-of-00001` and `step-N.index`. The index
    gets its name last, so where it is, the checkpoint is complete. TensorFlow's state
    file `checkpoint` is neither written nor read.

    Args:
        workdir: Run directory.
        model: Compiled `SAGAN`.
        keep: Positive integer. Of the last checkpoints so many are kept.
        keep_every: Positive integer or None. Checkpoints of its multiples are kept for
            good.

    Attributes:
        variables: List of `tf.Variable`s, all that a checkpoint holds.
    """

    def __init__(
        self,
        workdir: str | Path,
        model: Any,
        keep: int = 3,
        keep_every: int | None = None,
    ):
        self._model = model
        self._keep, self._keep_every = keep, keep_every
        self._last_step: int | None = None
        # Variables, not the objects that own them: TensorFlow does not follow a Keras
        # model's lists of layers and would silently leave out their weights.
        owners = {
            "generator": model.generator,
            "discriminator": model.discriminator,
            "ema_generator": model.ema_generator,
            "generator_optimizer": model.generator_optimizer,
            "discriminator_optimizer": model.discriminator_optimizer,
        }
        variables = {
            name: [variable.value for variable in owner.variables]
            for name, owner in owners.items()
        }
        metrics = [v.value for metric in model.metrics for v in metric.variables]
        if model.scales_loss:
            variables["skipped_in_a_row"] = [model.skipped_in_a_row.value]
        step = model.step.value
        self.variables = [step, *metrics, *tf.nest.flatten(variables)]
        self._checkpoint = tf.train.Checkpoint(step=step, metrics=metrics, **variables)
        # Checkpoints of version 0.1 have no metrics.
        self._without_metrics = tf.train.Checkpoint(step=step, **variables)
        for checkpoint in (self._checkpoint, self._without_metrics):
            checkpoint.save_counter  # noqa: B018  creates it, as version 0.1 did
        self._folder = Path(workdir) / "checkpoints"
        self._best_folder = self._folder / "best"

    def save(self) -> None:
        """Writes a checkpoint of this step, unless it exists already.

        Raises:
            UserError: if a weight is NaN or infinite, or the files cannot be written.
        """
        step = int(self._model.step.numpy())
        if step == self._last_step:
            return
        self._write(self._folder, step)
        self._last_step = step
        # Later ones are of a future that was given up, and do not count.
        earlier = [other for other in find_steps(self._folder) if other <= step]
        _delete_steps(
            self._folder,
            (
                other
                for other in earlier[: -self._keep]
                if not self._keep_every or other % self._keep_every
            ),
        )

    def save_best(self) -> None:
        """Writes this step's checkpoint as the best one and deletes the previous best.

        Raises:
            UserError: if a weight is NaN or infinite, or the files cannot be written.
        """
        step = int(self._model.step.numpy())
        # After a resume a step can come again, with the same weights (with XLA, almost
        # the same). Rewriting its checkpoint would leave it partial for a moment.
        if step not in find_steps(self._best_folder):
            self._write(self._best_folder, step)
        others = set(find_steps(self._best_folder)) - {step}
        _delete_steps(self._best_folder, others)

    def restore(self, best: bool = False, step: int | None = None) -> int | None:
        """Restores the last checkpoint that can be read, or the one that is asked for.

        Args:
            best: Boolean, whether to restore the best checkpoint.
            step: Integer, the step of the checkpoint to restore.

        Returns:
            Its step, or None if there is no such checkpoint.

        Raises:
                UserError: if there are checkpoints, but all are damaged or of another
                model.
        """
        folder = self._best_folder if best else self._folder
        steps = find_steps(folder)
        if not steps and step is None:  # a copy of a run may have the best one alone
            folder, steps = self._best_folder, find_steps(self._best_folder)
        if not steps and not find_steps(self._folder):
            self._refuse_data_without_index()
        if step is not None:
            if step not in steps:
                folder = self._best_folder
            steps = [step] if step in find_steps(folder) else []
        for found in reversed(steps):
            path = folder / f"step-{found}"
            try:
                self._read(path)
            except _UNREADABLE as error:
                reason = first_line(error)
                logging.warning("%s cannot be read (%.200s)", path, reason)
                continue
            self._last_step = found if folder == self._folder else None
            return found
        if steps:
            raise UserError(
                f"None of the checkpoints in {folder} can be read by this model "
                f"({reason:.200})"
            )
        return None

    def delete_leftovers(self) -> None:
        """Deletes what killed processes left: partial files, and data without index.

        The run must be locked, and its checkpoint restored.
        """
        for folder in (self._folder, self._best_folder):
            for pattern in (".partial-*", "step-*_temp"):  # the latter: version 0.1
                for path in folder.glob(pattern):
                    delete(path)
            steps = set(find_steps(folder))
            for path in folder.glob("step-*"):
                match = re.match(r"step-(\d+)\.(data-|index\.)", path.name)
                if match and int(match[1]) not in steps:
                    delete(path)

    def _refuse_data_without_index(self) -> None:
        data = sorted(path.name for path in self._folder.glob("step-*.data-*"))
        if data:
            raise UserError(
                f"The checkpoints in {self._folder} have lost their index files: there "
                f"are only {', '.join(data[:5])}. Restore the others from a copy, or "
                "give another --workdir"
            )

    def _read(self, path: Path) -> None:
        names = tf.train.load_checkpoint(str(path)).get_variable_to_shape_map()
        has_metrics = any(name.startswith("metrics/") for name in names)
        checkpoint = self._checkpoint if has_metrics else self._without_metrics
        status = checkpoint.read(str(path))
        status.assert_existing_objects_matched().assert_consumed()

    def _write(self, folder: Path, step: int) -> None:
        self._check_finite(step)
        path = folder / f"step-{step}"
        partial = partial_path(path)
        with write_errors(path, (tf.errors.OpError,)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                delete(partial)
                self._checkpoint.write(str(partial / path.name))
                _delete_steps(folder, [step])  # a damaged one
                by_index = sorted(partial.iterdir(), key=lambda p: p.suffix == ".index")
                for file in by_index:
                    sync(file)
                    os.replace(file, folder / file.name)
            finally:
                delete(partial)

    def _check_finite(self, step: int) -> None:
        for variable in self._model.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                raise UserError(
                    f"{variable.path} is no longer finite at step {step}. The last "
                    "checkpoint is from before; try lower learning rates in a new "
                    "workdir"
                )


def find_steps(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints in a folder, in order."""
    matches = (re.fullmatch(r"step-(\d+)\.index", p.name) for p in folder.glob("*"))
    return sorted(int(match[1]) for match in matches if match)


def find_checkpoints(workdir: str | Path) -> list[Path]:
    """Returns the paths of a run's checkpoints, without suffix, the best one last."""
    folder = Path(workdir) / "checkpoints"
    return [
        place / f"step-{step}"
        for place in (folder, folder / "best")
        for step in find_steps(place)
    ]


def _delete_steps(folder: Path, steps: Iterable[int]) -> None:
    for step in steps:
        delete(folder / f"step-{step}.index")  # first: data alone are no checkpoint
        for path in folder.glob(f"step-{step}.data-*"):
            delete(path)
