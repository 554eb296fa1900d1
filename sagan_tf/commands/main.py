"""Runs a command: parses its flags, and reports mistakes in one line."""

import dataclasses
import importlib
import logging
import os
import sys
from typing import Any

from absl import flags
from absl import logging as absl_logging

from sagan_tf import __version__
from sagan_tf.commands.run_flags import definers
from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.flags import format_config_help, format_flag, parse_flags
from sagan_tf.packages import describe_install
from sagan_tf.signals import Signals
from sagan_tf.text import printable, suggest

COMMANDS = (
    *("train", "prepare", "sample", "interpolate", "attend", "evaluate", "neighbors"),
    *("video", "report", "plot", "export", "demo", "doctor", "import_torch"),
)
_SETTINGS = {field.name for field in dataclasses.fields(Config)}
_WITH_SETTINGS = ("train", "prepare")
_HELP = {"-h", "--help", "--helpfull", "--helpshort"}


def main() -> None:
    """Runs the command line of this process: `sagan-tf COMMAND --flags`."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Runs a command.

    Args:
        arguments: Its name and its flags.

    Returns:
        The exit code: 0; 1 after a mistake, described in one line on stderr; 130 after
        Ctrl-C, 143 after SIGTERM.
    """
    try:
        with Signals() as signals:
            try:
                _run(arguments)
            except ImportError:
                signals.check()  # an import that is interrupted may fail in any way
                raise
        return 0
    except UserError as error:
        message = str(error)
    except ModuleNotFoundError as error:
        if (error.name or "sagan_tf").startswith("sagan_tf"):
            raise
        message = (
            f"Commands need the package {error.name}, which is missing: "
            f"{describe_install()}"
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        message = "Stopped: the reader of the output, such as head, has ended"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
    except MemoryError as error:
        message = f"There is not enough memory. {error}"
    except KeyboardInterrupt as error:
        print("Stopped", file=sys.stderr)
        return getattr(error, "exit_code", 130)
    print(f"Error: {printable(message)}", file=sys.stderr)
    return 1


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in _HELP:
        print(_format_commands())
        return
    if arguments[0] == "--version":
        print(f"sagan_tf {__version__}")
        return
    name, *given = arguments
    if name not in COMMANDS:
        raise UserError(
            f"There is no command {name!r}. {suggest(name, COMMANDS)}Commands: "
            f"{', '.join(COMMANDS)}"
        )
    command = importlib.import_module(f"sagan_tf.commands.{name}")
    values = flags.FlagValues()
    command.define_flags(values)
    definers(values).string(
        "cache_dir",
        None,
        "Folder of what is computed once: prepared data, feature extractors, features. "
        "The default is $SAGAN_TF_CACHE or ~/.cache/sagan_tf.",
    )
    if _HELP & set(given):
        print(_format_help(name, command, values))
        return
    parse_flags(values, given)
    _show_warnings()
    if values.cache_dir:
        os.environ["SAGAN_TF_CACHE"] = values.cache_dir
    command.run(values)


def _show_warnings() -> None:
    """Shows warnings in one line each, with control characters escaped."""

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"Warning: {printable(record.getMessage())}"

    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def _format_commands() -> str:
    lines = []
    for name in COMMANDS:
        command = importlib.import_module(f"sagan_tf.commands.{name}")
        lines.append(f"  {name:<14}{command.__doc__}")
    return "\n".join(
        [
            "Usage: sagan-tf COMMAND --flags, or python -m sagan_tf COMMAND --flags\n",
            *lines,
            "\nFlags of a command: sagan-tf COMMAND --help",
        ]
    )


def _format_help(name: str, command: Any, values: flags.FlagValues) -> str:
    usage = f"{command.__doc__}\n\nUsage: sagan-tf {name} --flags\n"
    own = [
        format_flag(
            flag.name,
            flag.help.split(">: ")[-1],  # absl puts the choices before the help
            flag.default,
            flag.boolean,
        )
        for flag in (values[name] for name in values)
        if name not in _WITH_SETTINGS or flag.name not in _SETTINGS
    ]
    settings = ""
    if name in _WITH_SETTINGS:
        settings = (
            "\nSettings. A preset's values replace the defaults below; --dry_run shows "
            f"the result.\n\n{format_config_help()}"
        )
    return f"{usage}\n{''.join(own)}{settings}".rstrip()
