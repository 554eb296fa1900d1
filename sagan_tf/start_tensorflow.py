"""TensorFlow's start, without its start-up messages."""

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator

from sagan_tf.errors import UserError


def check_backend() -> None:
    """Raises `UserError` without TensorFlow, or if it is not the backend of Keras."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "Training, sampling and the commands need TensorFlow. The layers and "
            "networks work without it. To install it: pip install "
            "'tensorflow>=2.21,<2.22' tensorflow-datasets"
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" in sys.modules:
        backend = importlib.import_module("keras").backend.backend()
    if backend != "tensorflow":
        raise UserError(
            "Training, sampling and the commands need the TensorFlow backend of Keras. "
            f"Received: KERAS_BACKEND={backend}. Set KERAS_BACKEND=tensorflow"
        )


def start_tensorflow() -> None:
    """Imports TensorFlow, quietly unless `TF_CPP_MIN_LOG_LEVEL` is set.

    Raises:
        UserError: as `check_backend`.
    """
    check_backend()
    if "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    # Not even errors: those that matter are exceptions as well. The others frighten,
    # such as an optimization of the graph that does not apply.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _hide_stderr():
        tensorflow = importlib.import_module("tensorflow")
        # On a machine without a GPU this logs a frightening "failed call to cuInit".
        tensorflow.config.list_physical_devices("GPU")


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
        except Exception:  # after an interruption nothing went wrong
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
