"""Trains a model, or resumes its training."""

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.flags import config_from_flags, define_config_flags
from sagan_tf.start_tensorflow import start_tensorflow


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.bool(
        "dry_run",
        False,
        "Print what would be trained and how much memory it needs, and stop.",
    )
    define_config_flags(values)


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    config = config_from_flags(values)
    start_tensorflow()
    if values.dry_run:
        from sagan_tf.training.summary import print_summary

        print_summary(config)
    else:
        from sagan_tf.training.train import train

        train(config)
