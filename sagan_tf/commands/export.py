"""Exports a run's EMA generator for other programs."""

from absl import flags

from sagan_tf.commands.run_flags import define_run_flags, definers, open_run
from sagan_tf.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.list(
        "format",
        "saved_model",
        "Formats: saved_model; serving, for TensorFlow Serving; onnx; litert; keras; "
        "networks, a small folder that all commands read; hub, that and more for the "
        "Hugging Face Hub. Images of each are compared with the run's.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    from sagan_tf.export import FORMATS

    unknown = [name for name in values.format if name not in FORMATS]
    if unknown or not values.format:
        raise UserError(
            f"--format takes some of {', '.join(FORMATS)}. "
            f"Received: {','.join(values.format)}"
        )
    for name in values.format:
        path = run.export(format=name)
        print(f"{FORMATS[name]} of step {run.step} saved to {path}", flush=True)
