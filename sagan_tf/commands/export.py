"""Exports a run's averaged generator for serving."""

from pathlib import Path

from absl import flags

from sagan_tf.commands._run import WORKDIR, open_run

_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model"], "What to write.")


def run():
    """Runs the command."""
    from sagan_tf.export import export_saved_model

    trained = open_run()
    path = Path(WORKDIR.value) / "export" / _FORMAT.value
    export_saved_model(trained.model, path)
    print(f"SavedModel of step {trained.step}: {path}")
