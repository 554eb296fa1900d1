from sagan_tf.config import load_config
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.training.checkpoints import Checkpoints


class Run:
    """A trained run, loaded from its directory.

    Attributes:
        config: The run's `Config`.
        step: Integer, the number of steps the checkpoint has done.
        model: The `SAGAN`, as it was at that step.
        generator: Its averaged generator, the one to sample from.
        discriminator: Its discriminator.
    """

    def __init__(self, config, model):
        self.config = config
        self.model = model
        self.step = int(model.step.numpy())
        self.generator = model.ema_generator
        self.discriminator = model.discriminator

    def generate(self, num_images, seed=0, truncation=1.0, labels=None):
        """uint8 images `[num_images, S, S, C]`; see `SAGAN.generate`."""
        return self.model.generate(num_images, seed, truncation, labels)


def load_run(workdir, best=False):
    """Loads a checkpoint of the run in `workdir`; returns a `Run`.

    Args:
        workdir: Folder of the run.
        best: Boolean; by default the last checkpoint is loaded, else that of the best
            figure that `--evaluation_interval` found.

    Raises:
        UserError: if there is no run, or it has no such checkpoint.
    """
    config = load_config(workdir)
    model = build_sagan(config)
    if Checkpoints(workdir, model).restore(best) is None:
        if best:
            raise UserError(
                f"The run in {workdir} has no best checkpoint: it was not trained with "
                "--evaluation_interval"
            )
        raise UserError(f"The run in {workdir} has no checkpoint yet")
    return Run(config, model)
