"""Text in messages: escaped, shortened, and counts that read right."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Escapes what a terminal would act on or could not show: `"\x1b"` becomes `\x1b`.

    File and class names can hold line breaks and the codes that clear a screen.
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type without one."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def format_names(names: Iterable[str]) -> str:
    """Returns names in a row, those with commas quoted as `--labels` takes them."""
    return ", ".join(f'"{name}"' if "," in name else name for name in names)


def format_duration(seconds: float) -> str:
    """Returns a time that reads well: "42 s", "5.2 min", "3.4 h"; "-" for NaN."""
    if seconds != seconds:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def count(number: int, noun: str) -> str:
    """Returns a count that reads right: "1 image", "2,000 images", "2 classes"."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the question whether the closest known name is meant, or `""`.

    It ends with a space: `"Did you mean mnist? "`.
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}? " if close else ""
