"""Ctrl-C and SIGTERM, which Slurm and Kubernetes send before they kill a process."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int):
        super().__init__()
        self.exit_code = 128 + number


class Signals:
    """Raises `Interrupted` at the first signal: at once, or where `check` is called.

    A second signal ends the process at once. Outside of the main thread, which alone
    receives signals, nothing is changed.

    Example:

    ```python
    with Signals() as signals, signals.deferred():
        for batch in batches:
            train(batch)     # is never interrupted
            signals.check()  # raises after the step in which a signal came
    ```
    """

    # Of the process: a library that catches every exception may swallow the first one.
    _received: int | None = None
    _depth = 0

    def __init__(self) -> None:
        self._is_deferred = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if not Signals._depth:
            Signals._received = None
        Signals._depth += 1
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        Signals._depth -= 1
        # After a signal the default action stays until the end: the next signal ends
        # the process. A notebook needs its handlers back.
        if self._received is None or not Signals._depth:
            for number, handler in self._former.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a signal waits for `check` or `immediate`."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    @contextlib.contextmanager
    def immediate(self) -> Iterator[None]:
        """Within it, inside of `deferred`, a signal raises at once."""
        was_deferred, self._is_deferred = self._is_deferred, False
        try:
            self.check()
            yield
        finally:
            self._is_deferred = was_deferred

    @property
    def received(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    @staticmethod
    @contextlib.contextmanager
    def left_to_system() -> Iterator[None]:
        """Within it a signal ends the process at once, even while C++ code waits."""
        former = {}
        if threading.current_thread() is threading.main_thread():
            former = {n: signal.signal(n, signal.SIG_DFL) for n in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        Signals._received = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if not self._is_deferred:
            raise Interrupted(number)
