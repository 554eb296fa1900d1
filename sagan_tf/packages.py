"""Packages that may be missing, and the command that installs them."""

import importlib.metadata
import importlib.util
import shlex
from pathlib import Path

from sagan_tf.errors import UserError


def check_installed(what: str, extra: str, *modules: str) -> None:
    """Raises a `UserError` unless modules can be imported.

    Args:
        what: What needs them, as the first words of the message.
        extra: The extra of this package that installs them, which is in
            `requirements-EXTRA.txt` too.
        modules: Names of top-level modules.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{what} needs {' and '.join(missing)}: {describe_install(extra)}"
        )


def describe_install(extra: str | None = None) -> str:
    """Returns the command that installs the packages of an extra, or of none."""
    name = f"requirements-{extra}.txt" if extra else "requirements.txt"
    file = Path(__file__).parents[1] / name
    if file.exists():  # in a clone
        return f"python -m pip install -r {shlex.quote(str(file))}"
    wanted = f'extra == "{extra}"' if extra else ""
    packages = []
    for requirement in importlib.metadata.requires("sagan_tf") or ():
        package, _, marker = requirement.partition("; ")
        if marker == wanted:
            packages.append(package)
    return f"python -m pip install {shlex.join(packages)}"
