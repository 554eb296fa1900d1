from sagan_tf.text import printable


class UserError(Exception):
    """A mistake of the user's, or a fault of the machine's, not of the program's.

    Its message is one line that says what was wrong, what was received and what to
    do; the commands print it and end with exit code 1, without a traceback. Control
    characters in it, such as those of file names, are escaped.
    """

    def __str__(self) -> str:
        return printable(super().__str__())
