"""python -m sagan_tf COMMAND --workdir=..."""

import importlib
import pkgutil
import sys

from sagan_tf import commands
from sagan_tf.commands.main import fail, main


def run_command():
    """Runs the command that the first argument names."""
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if module.name != "main" and not module.name.startswith("_")
    )
    usage = f"python -m sagan_tf COMMAND --workdir=DIR, COMMAND: {', '.join(names)}"
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(f"Usage: {usage}\nFlags:  python -m sagan_tf COMMAND --help")
        return
    name = sys.argv.pop(1)
    if name not in names:
        fail(f"There is no command {name!r}. Usage: {usage}")
    main(importlib.import_module(f"sagan_tf.commands.{name}").run)


if __name__ == "__main__":
    run_command()
