from pathlib import Path

import tensorflow as tf

from sagan_tf.errors import UserError


class Checkpoints:
    """Everything a run needs to go on exactly where it stopped.

    A checkpoint holds both networks, the averaged generator, both optimizers with
    their iterations and moments, and the step; latents and the place in the data are
    functions of the step. A checkpoint counts only once the index that names it has
    been replaced, after its data are written, so a half-written one is never read.

    Args:
        workdir: Folder of the run.
        model: Compiled `SAGAN`.
        max_to_keep: Positive integer; older checkpoints are deleted.
    """

    def __init__(self, workdir, model, max_to_keep=3):
        self._model = model
        # Variables, and not the objects that own them: TensorFlow does not follow a
        # Keras model's lists of layers, and would leave out their weights in silence.
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
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            str(Path(workdir) / "checkpoints"),
            max_to_keep=max_to_keep,
            checkpoint_name="step",
        )

    def save(self):
        """Writes a checkpoint; returns its path prefix."""
        return self._manager.save(checkpoint_number=int(self._model.step.numpy()))

    def restore(self):
        """Restores the last checkpoint, if there is one; returns the step.

        Raises:
            UserError: if the checkpoint cannot be read or is of another model.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        try:
            status = self._checkpoint.restore(path)
            status.assert_existing_objects_matched().assert_consumed()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"The checkpoint {path} cannot be read, or is of another model "
                f"({reason:.200}). Delete it to go on from the one before"
            ) from error
        return int(self._model.step.numpy())
