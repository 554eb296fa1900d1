"""python -m sagan_tf COMMAND --workdir=..."""

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

from absl import flags

from sagan_tf import commands
from sagan_tf.commands.main import fail, main

_HELP = {"-h", "--help"}


def run_command():
    """Runs the command that the first argument names."""
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if module.name != "main" and not module.name.startswith("_")
    )
    if len(sys.argv) < 2 or sys.argv[1] in _HELP:
        _print_commands(names)
        return
    name = sys.argv.pop(1)
    if name not in names:
        fail(f"There is no command {name!r}. Commands: {', '.join(names)}")
    command = importlib.import_module(f"sagan_tf.commands.{name}")
    if _HELP & set(sys.argv):
        _print_flags(name, command)
        return
    main(command.run)


def _print_commands(names):
    print("Usage: python -m sagan_tf COMMAND --workdir=DIR\n")
    for name in names:
        # Not imported: the flags of two commands would clash.
        source = Path(commands.__path__[0], f"{name}.py").read_text(encoding="utf-8")
        print(f"  {name:<14}{ast.get_docstring(ast.parse(source))}")
    print("\nFlags: python -m sagan_tf COMMAND --help")


def _print_flags(name, command):
    print(f"{command.__doc__}\n\nUsage: python -m sagan_tf {name} --workdir=DIR\n")
    shared = sys.modules.get("sagan_tf.commands._run")
    for module in filter(None, (shared, command)):
        # Without the name of the module, which says nothing to a user.
        print("\n".join(flags.FLAGS.module_help(module).splitlines()[2:]))


if __name__ == "__main__":
    run_command()
