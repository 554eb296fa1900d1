"""TensorFlow's start, without its start-up messages."""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

from sagan_tf.errors import UserError


def start_tensorflow() -> None:
    """Imports TensorFlow, quietly unless `TF_CPP_MIN_LOG_LEVEL` is set.

    Raises:
        UserError: if Keras is set to another backend.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UserError(
            "The commands need the TensorFlow backend of Keras. "
            f"Received: KERAS_BACKEND={backend}. Set KERAS_BACKEND=tensorflow"
        )
    if "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    # Hides a frightening "failed call to cuInit" on machines without a GPU.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _hide_stderr():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _hide_stderr() -> Iterator[None]:
    """Hides what C++ code writes to stderr; an exception shows it after all.

    During its import TensorFlow logs before it reads the log level.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as hidden:
        stderr = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
