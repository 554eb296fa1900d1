"""Trains a model, or resumes its training."""

from pathlib import Path

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.flags import (
    OF_TRAINED_NETWORKS,
    config_from_flags,
    define_config_flags,
    split_location,
)
from sagan_tf.start_tensorflow import start_tensorflow


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.bool(
        "dry_run",
        False,
        "Print what would be trained and how much memory it needs, and stop.",
    )
    define.string(
        "init_from",
        None,
        "WORKDIR, WORKDIR@best or WORKDIR@STEP. Start a new run from the networks of "
        "this one, with its settings but for the flags given. Needs --workdir.",
    )
    define.bool(
        "init_partially",
        False,
        "With --init_from: variables that do not fit start from their initial values.",
    )
    define.bool(
        "accept_changed_data",
        False,
        "Resume although the images are not those that the run was trained on.",
    )
    define_config_flags(values)


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    config = _resolve(values)
    start_tensorflow()
    if values.dry_run:
        from sagan_tf.training.summary import print_summary

        print_summary(config)
    else:
        from sagan_tf.training.train import train

        train(
            config, values.init_from, values.init_partially, values.accept_changed_data
        )


def _resolve(values: flags.FlagValues) -> Config:
    location = values.init_from
    if not location:
        return config_from_flags(values)
    if not values.workdir:
        raise UserError("--init_from needs --workdir, the directory of the new run")
    from sagan_tf.model_files import find_pretrained  # imports NumPy

    former, workdir = Path(split_location(location)[0]), Path(values.workdir)
    former = find_pretrained(former) or former
    if workdir.resolve() == former.resolve():
        raise UserError(
            f"--init_from and --workdir are both {workdir}: give a new directory, or "
            "leave out --init_from to resume the run"
        )
    for name, value in OF_TRAINED_NETWORKS.items():
        if values[name].value is None:
            values[name].value = value
    # A run that has begun is resumed, whatever became of the other one.
    has_begun = (workdir / "config.json").exists()
    return config_from_flags(values, workdir if has_begun else former)
