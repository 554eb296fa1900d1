from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's, or a fault of the machine's, not of the program's.

    Its message is one line that says what was wrong, what was received and what to
    do; the commands print it and end with exit code 1, without a traceback. Control
    characters in it, such as those of file names, are escaped.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


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


def format_names(names: Iterable[str]) -> str:
    """Returns names in a row, those with commas quoted as `--labels` takes them."""
    return ", ".join(f'"{name}"' if "," in name else name for name in names)
