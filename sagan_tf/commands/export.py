"""Exports a run's EMA generator for serving."""

from absl import flags

from sagan_tf.commands.run_flags import define_run_flags, open_run


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define_run_flags(values)
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model"],
        "Format: saved_model.",
        flag_values=values,
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    print(f"SavedModel of step {run.step} saved to {run.export()}")
