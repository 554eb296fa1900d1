"""The flags of all commands that use a run."""

import dataclasses
import functools
import glob
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from absl import flags

from sagan_tf.errors import UserError
from sagan_tf.start_tensorflow import start_tensorflow

if TYPE_CHECKING:
    from sagan_tf.run import Run


def definers(values: flags.FlagValues) -> Any:
    """Returns absl's `DEFINE_` functions for these flags, such as `.integer`."""
    kinds = ("bool", "enum", "float", "integer", "list", "multi_string", "string")
    return SimpleNamespace(
        **{
            kind: functools.partial(
                getattr(flags, f"DEFINE_{kind}"), flag_values=values
            )
            for kind in kinds
        }
    )


def define_run_flags(values: flags.FlagValues) -> None:
    """Defines `--workdir`, `--pretrained`, `--best` and `--step`."""
    define = definers(values)
    define.string("workdir", None, "Run directory, such as runs/digits.")
    define.string(
        "pretrained",
        None,
        "Instead of --workdir: networks that come with this package, such as digits.",
    )
    define.bool(
        "best",
        False,
        "Use the checkpoint with the best score of --evaluation_interval, not the last "
        "one.",
    )
    define.integer(
        "step",
        None,
        "Use the checkpoint of this step, not the last one.",
        lower_bound=0,
    )


def define_workdirs_flag(values: flags.FlagValues) -> None:
    """Defines `--workdir` of commands that take several runs."""
    definers(values).multi_string(
        "workdir",
        None,
        "Run directory, or several: runs/a,runs/b or 'runs/a_seed*'. Those that differ "
        "in their seed alone are one curve with its spread.",
        required=True,
    )


def find_workdirs(values: flags.FlagValues) -> list[str]:
    """Returns the run directories of `define_workdirs_flag`'s flag.

    Raises:
        UserError: if there is none, or one holds runs instead of being one.
    """
    given = [name for name in ",".join(values.workdir).split(",") if name]
    workdirs: list[str] = []
    for name in given:
        is_pattern = glob.has_magic(name) and not Path(name).exists()
        configs = sorted(glob.glob(f"{name}/config.json")) if is_pattern else []
        workdirs += [str(Path(path).parent) for path in configs] or [name]
    if not workdirs:
        raise UserError("--workdir is empty: give a run directory, such as runs/digits")
    for name in workdirs:
        is_run = Path(name, "config.json").exists()
        if not is_run and any(Path(name).glob("*/config.json")):
            flag = shlex.quote(f"--workdir={name.rstrip('/')}/*")
            raise UserError(
                f"{name} is no run, but holds runs. For all of them: {flag}"
            )
    return workdirs


def define_data_flag(values: flags.FlagValues) -> None:
    """Defines `--data_dir`."""
    define = definers(values)
    define.string(
        "data_dir",
        None,
        "Folder of the run's images, if they are no longer where it was trained.",
    )


def define_seed_flag(values: flags.FlagValues) -> None:
    """Defines `--seed`."""
    define = definers(values)
    define.integer(
        "seed", 0, "Random seed of the latents.", lower_bound=0, upper_bound=2**31 - 1
    )


def open_run(values: flags.FlagValues) -> "Run":
    """Loads the run that the flags name; see `sagan_tf.load_run`."""
    # Here, since it imports NumPy: --help is to be quick.
    from sagan_tf.model_files import pretrained_names, pretrained_workdir

    if bool(values.workdir) == bool(values.pretrained):
        raise UserError(
            "Give either --workdir=DIR, a run directory, or --pretrained=NAME, one of "
            f"{', '.join(pretrained_names())}"
        )
    start_tensorflow()
    from sagan_tf.run import load_run

    workdir = values.workdir or pretrained_workdir(values.pretrained)
    run = load_run(workdir, best=values.best, step=values.step)
    if "data_dir" in values and values.data_dir is not None:
        run.config = dataclasses.replace(run.config, data_dir=values.data_dir)
    return run


def parse_numbers(name: str, texts: list[str]) -> list[float]:
    """Converts the values of a list flag to finite numbers.

    Raises:
        UserError: if one is no finite number, or there is none.
    """
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(number) < float("inf") for number in numbers):
        raise UserError(
            f"--{name} takes numbers, such as 0.5,1. Received: {','.join(texts)}"
        )
    return numbers
