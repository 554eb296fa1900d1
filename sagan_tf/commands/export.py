"""Exports a run's EMA generator for other programs."""

from pathlib import Path

from absl import flags

from sagan_tf.commands.run_flags import define_run_flags, definers, open_run
from sagan_tf.files import delete_partial


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.list(
        "format",
        "saved_model",
        "Formats: saved_model; serving, for TensorFlow Serving; onnx; litert; keras; "
        "networks, a small folder that --workdir and --init_from take; hub, that and "
        "more for the Hugging Face Hub. The images of other runtimes are compared with "
        "the run's.",
    )
    define.string(
        "output",
        None,
        "Folder to write; of several formats, each has a folder in it. The default is "
        "export/FORMAT in the run directory.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    from sagan_tf.export import FORMATS, check_format

    for name in values.format or [""]:
        check_format(name)
    for name in values.format:
        output = values.output
        if output and len(values.format) > 1:
            output = Path(output, name)
        path = run.export(output, format=name)
        delete_partial(path.parent)  # of exports that were killed
        print(f"{FORMATS[name].title} of step {run.step} saved to {path}", flush=True)
