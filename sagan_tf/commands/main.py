import sys

from absl import app, logging

from sagan_tf.errors import UserError


def main(function):
    """Parses the flags and calls `function()`; a user's mistake is one line.

    The process ends with exit code 0, or with 1 and the line on stderr.
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
        except KeyboardInterrupt:
            fail("Stopped")

    app.run(call)


def fail(message):
    """Prints a line on stderr and ends the process with exit code 1."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)
