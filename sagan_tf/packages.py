"""Optional packages, which are imported only where they are used."""

import importlib.util

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
            f"{what} needs {' and '.join(missing)}: python -m pip install "
            f"'sagan_tf[{extra}]', or in a clone: python -m pip install -r "
            f"requirements-{extra}.txt"
        )
