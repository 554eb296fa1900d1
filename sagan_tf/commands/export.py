"""Exports a run's averaged generator for serving."""

from pathlib import Path

from absl import flags

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model"], "What to write.")


def run():
    """Runs the command."""
    from sagan_tf.export import export_saved_model
    from sagan_tf.training import load_run

    trained = load_run(_WORKDIR.value)
    path = Path(_WORKDIR.value) / "export" / _FORMAT.value
    export_saved_model(trained.model, path)
    print(f"SavedModel of step {trained.step}: {path}")
