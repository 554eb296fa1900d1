class UserError(Exception):
    """A mistake of the user's, not of the program's.

    Its message is one line that says what was wrong, what was received and what to
    do; the commands print it and end with exit code 1, without a traceback.
    """
