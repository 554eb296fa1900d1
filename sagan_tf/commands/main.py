"""The way in of every command: flags are parsed, and mistakes are one line each."""

import re
import sys

from absl import app, flags, logging

from sagan_tf.errors import UserError


def main(function):
    """Parses the flags and calls `function()`; a user's mistake is one line.

    The process ends with exit code 0; with 1 and the line on stderr; or, stopped by
    Ctrl-C, with 130.
    """

    def call(argv):
        if len(argv) > 1:
            fail(f"Unexpected argument {argv[1]!r}. Flags look like --name=value")
        # TensorFlow's own notes on each file it writes are below this.
        logging.set_verbosity(logging.WARNING)
        try:
            function()
        except UserError as error:
            fail(error)
        except OSError as error:
            if error.filename is None:
                raise
            fail(f"{error.filename}: {error.strerror}")
        except KeyboardInterrupt:
            print("Stopped", file=sys.stderr)
            sys.exit(130)

    app.run(call, flags_parser=_parse)


def fail(message):
    """Prints a line on stderr and ends the process with exit code 1."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except (flags.Error, ValueError) as error:
        # absl's text is "flag --NAME=VALUE: REASON", and for some flags the reason is
        # what Python's int() says.
        found = re.match(r"flag --(\w+)=(.*?): (.*)", str(error), re.DOTALL)
        if not found:
            fail(error)
        name, value, reason = found.groups()
        if "other than None" in reason:
            fail(f"--{name} is missing: {flags.FLAGS[name].help}")
        expected = flags.FLAGS[name].parser.syntactic_help
        if expected:
            fail(f"--{name} takes {expected}. Received: {value}")
        fail(f"--{name}={value}: {reason}")
