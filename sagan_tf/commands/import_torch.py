"""Imports a checkpoint of heykeetae's 64 px PyTorch SAGAN as a run."""

import shlex

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.start_tensorflow import start_tensorflow


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.string(
        "generator",
        None,
        "The generator's state dict, N_G.pth, or an .npz file of its arrays.",
    )
    define.string(
        "discriminator",
        None,
        "The discriminator's, N_D.pth. Either file alone is enough.",
    )
    define.string("workdir", None, "Run directory to create.", required=True)
    define.string(
        "config",
        None,
        "Preset, or Python file with get_config(), whose data and training settings a "
        "resumed run uses. The default is the original's, on CelebA.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    start_tensorflow()
    from sagan_tf.config import load_preset
    from sagan_tf.importers import import_sagan64

    step = import_sagan64(
        values.workdir,
        values.generator,
        values.discriminator,
        load_preset(values.config) if values.config else None,
    )
    flag = shlex.quote(f"--workdir={values.workdir}")
    print(f"Imported into {values.workdir}, step {step}")
    print(f"Sample it:       python -m sagan_tf sample {flag}")
    print(f"Resume training: python -m sagan_tf train {flag}")
