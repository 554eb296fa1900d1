"""Exports a run's EMA generator for serving."""

from absl import flags

from sagan_tf.commands.run_flags import define_run_flags, definers, open_run


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.enum("format", "saved_model", ["saved_model"], "Format: saved_model.")


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    print(f"SavedModel of step {run.step} saved to {run.export()}")
