"""Findings, one line of the report each, and the checks that yield them."""

import contextlib
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from sagan_tf.errors import UserError
from sagan_tf.text import first_line

COMMAND = "python -m sagan_tf doctor"
_NAMED = 10  # files that a line names

Status = Literal["ok", "warning", "failure", "skipped"]


class Finding(NamedTuple):
    """What a check found: one line of the report.

    Attributes:
        name: What was checked.
        status: `"ok"`, `"warning"`, `"failure"`, or `"skipped"` for a check that needs
            what is missing.
        found: What was found.
        remedy: What to do about it, or `""`.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


class Check(NamedTuple):
    """A check of one thing.

    Attributes:
        name: What it checks.
        find: Function without arguments that returns or yields its findings.
        remedy: What to do if it raises an exception.
        needs_tensorflow: Boolean, whether it needs TensorFlow and Keras.
    """

    name: str
    find: Callable[[], Iterable[Finding]]
    remedy: str
    needs_tensorflow: bool = True


def run_check(check: Check) -> list[Finding]:
    """Returns a check's findings; an exception that it raises is the last of them."""
    findings: list[Finding] = []
    with quiet():
        try:
            findings.extend(check.find())
        except Exception as error:  # whatever it is, the next checks run
            findings.append(
                Finding(check.name, "failure", describe(error), check.remedy)
            )
    return findings


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what checks print and log."""
    former = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(former)


def describe(error: Exception) -> str:
    """Returns a mistake's message, or the type and first line of another exception."""
    if isinstance(error, UserError):
        return str(error)
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line:.300}"


def shorten(names: list[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = f"; and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more
