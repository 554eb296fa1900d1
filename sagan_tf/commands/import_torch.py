"""Turns a checkpoint of the 64 px PyTorch SAGAN into a run."""

import shlex

from absl import flags

_GENERATOR = flags.DEFINE_string(
    "generator", None, "The generator's state dict, N_G.pth, or an .npz of its arrays."
)
_DISCRIMINATOR = flags.DEFINE_string(
    "discriminator", None, "The discriminator's, N_D.pth; either alone is enough."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder to make.", required=True)
_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "Preset, a Python file with get_config(), whose data and training are gone on "
    "with; by default the original's, on CelebA.",
)


def run():
    """Runs the command."""
    from sagan_tf.config import load_preset
    from sagan_tf.importers import import_sagan64

    workdir = _WORKDIR.value
    step = import_sagan64(
        workdir,
        _GENERATOR.value,
        _DISCRIMINATOR.value,
        load_preset(_CONFIG.value) if _CONFIG.value else None,
    )
    print(f"Imported into {workdir}, step {step}")
    flag = shlex.quote(f"--workdir={workdir}")
    print(f"Look at it: python -m sagan_tf sample {flag}")
    print(f"Go on:      python train.py {flag}")
