from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from sagan_tf.errors import UserError


class Checkpoints:
    """Saves and restores everything that a run needs to resume exactly.

    A checkpoint holds both networks, the EMA generator, both optimizers with their
    iterations and moments, and the step. Latents and the position in the data are
    functions of the step. A checkpoint counts only once TensorFlow's state file names
    it, which is after its data are written, so a partial one is never read.

    Args:
        workdir: Run directory.
        model: Compiled `SAGAN`.
        max_to_keep: Positive integer; older checkpoints are deleted.
    """

    def __init__(self, workdir: str | Path, model: Any, max_to_keep: int = 3):
        self._model = model
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
        self._checkpoint = tf.train.Checkpoint(
            step=model.step.value,
            **{
                name: [variable.value for variable in owner.variables]
                for name, owner in owners.items()
            },
        )
        folder = Path(workdir) / "checkpoints"
        self._last, self._best = (
            tf.train.CheckpointManager(
                self._checkpoint, str(path), max_to_keep=count, checkpoint_name="step"
            )
            for path, count in ((folder, max_to_keep), (folder / "best", 1))
        )

    def save(self) -> None:
        """Writes a checkpoint of this step, unless it exists already.

        Raises:
            UserError: if a weight is NaN or infinite.
        """
        step = int(self._model.step.numpy())
        # Rewriting the last checkpoint would leave it partial for a moment.
        if step == self._last_step:
            return
        self._check_finite(step)
        self._last.save(checkpoint_number=step)
        self._last_step = step

    def save_best(self) -> None:
        """Writes this step's checkpoint as the best one and deletes the previous best.

        Raises:
            UserError: if a weight is NaN or infinite.
        """
        step = int(self._model.step.numpy())
        # After a resume a step can come again, with the same weights (with XLA, almost
        # the same). Rewriting its checkpoint would leave it partial for a moment.
        if (self._best.latest_checkpoint or "").endswith(f"step-{step}"):
            return
        self._check_finite(step)
        self._best.save(checkpoint_number=step)

    def restore(self, best: bool = False) -> int | None:
        """Restores the last checkpoint that can be read, or the best one.

        Returns:
            Its step, or None if there is no checkpoint.

        Raises:
            UserError: if there are checkpoints, but all are damaged or of another
                model.
        """
        manager = self._best if best else self._last
        paths = manager.checkpoints[::-1]
        for path in paths:
            try:
                status = self._checkpoint.restore(path)
                status.assert_existing_objects_matched().assert_consumed()
            except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
                reason = str(error).splitlines()[0]
                logging.warning("%s cannot be read (%.200s)", path, reason)
                continue
            step = int(self._model.step.numpy())
            self._last_step = None if best else step
            return step
        if paths:
            raise UserError(
                f"None of the checkpoints in {manager.directory} can be read by "
                f"this model ({reason:.200})"
            )
        return None

    def _check_finite(self, step: int) -> None:
        for variable in self._model.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                raise UserError(
                    f"{variable.path} is no longer finite at step {step}. The last "
                    "checkpoint is from before; try lower learning rates in a new "
                    "workdir"
                )
