"""Logs by step: CSV files and TensorBoard."""

import contextlib
import csv
import datetime
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf import __version__
from sagan_tf.errors import UserError
from sagan_tf.files import append, read_text, set_aside, write_errors, write_text
from sagan_tf.machine import describe_machine
from sagan_tf.rows import parse_rows


class Board:
    """Writes scalars and images to TensorBoard, if it is installed.

    Args:
        logs: Folder of the logs; the files go to its `tensorboard/`.

    Raises:
        UserError: if its files cannot be written; so do its methods.
    """

    def __init__(self, logs: Path):
        self._folder, self._writer = logs / "tensorboard", None
        if importlib.util.find_spec("tensorboard") is not None:
            with self._write_errors():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._writer = tf.summary.create_file_writer(str(self._folder))

    @property
    def is_open(self) -> bool:
        """Whether TensorBoard is installed."""
        return self._writer is not None

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes each value under its name."""
        if self._writer is not None:
            with self._write_errors(), self._writer.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes a uint8 image `[height, width, channels]`."""
        if self._writer is not None:
            with self._write_errors(), self._writer.as_default(step=step):
                tf.summary.image(name, image[None])

    def _write_errors(self) -> contextlib.AbstractContextManager[None]:
        return write_errors(self._folder, (tf.errors.OpError,))


class StepLog:
    """A CSV file with one row per step; its numbers also go to TensorBoard.

    Args:
        path: The CSV file. Its rows up to `step` are kept. Later rows, which the
            checkpoint knows nothing of, are dropped: they will be written again. A
            damaged file is renamed, with a warning.
        columns: Names of the columns after `step`.
        step: Integer, the step that training starts or resumes from.
        board: `Board`.

    Attributes:
        rows: List of dicts of text, the rows of the file.

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], step: int, board: Board):
        self._path, self._board = path, board
        self._columns = ["step", *columns]
        self.rows = _read_rows(path, step)
        header = dict(zip(self._columns, self._columns, strict=True))
        write_text(path, self._format([header, *self.rows]))

    def write(self, step: int, scalars: Mapping[str, float], **row: Any) -> None:
        """Appends a row.

        Args:
            step: Integer.
            scalars: Numbers, for the columns of the same names and for TensorBoard.
            **row: Further columns of the row.

        Raises:
            UserError: if the row cannot be written. The file is as before then.
        """
        numbers = {name: f"{value:.6g}" for name, value in scalars.items()}
        written = {"step": str(step), **numbers, **row}
        append(self._path, self._format([written]).encode())
        self.rows.append(written)
        self._board.write_scalars(step, scalars)

    def _format(self, rows: Sequence[Mapping[str, str]]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(
            text, self._columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        writer.writerows(rows)
        return text.getvalue()


def log_start(logs: Path, step: int, **facts: Any) -> None:
    """Appends to `starts.jsonl` when, at which step and on what a run was started.

    Args:
        logs: Folder of the logs.
        step: Integer, the step that training starts or resumes from.
        **facts: What is known besides the machine and the versions.

    Raises:
        UserError: if the file cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    start = {"step": step, "time": now, **facts, **describe_machine()}
    start["sagan_tf"] = __version__
    append(logs / "starts.jsonl", (json.dumps(start) + "\n").encode())


def _read_rows(path: Path, step: int) -> list[dict[str, str]]:
    """Returns the rows up to a step. If some are damaged, the file is renamed."""
    if not path.exists():
        return []
    try:
        rows, damaged = parse_rows(read_text(path))
    except (UserError, ValueError) as error:
        set_aside(path, f"the log cannot be read ({error})")
        return []
    if damaged:
        set_aside(path, f"its rows {', '.join(map(str, damaged[:10]))} are damaged")
    for row in rows:  # version 0.1 had another name for the score
        if "figure" in row:
            row["score"] = row.pop("figure")
    return [row for row in rows if int(row["step"]) <= step]
