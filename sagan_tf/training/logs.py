"""Logs by step: CSV files and TensorBoard."""

import csv
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class Board:
    """Writes scalars and images to TensorBoard, if it is installed.

    Args:
        logs: Folder of the logs; the files go to its `tensorboard/`.
    """

    def __init__(self, logs: Path):
        self._writer = None
        if importlib.util.find_spec("tensorboard") is not None:
            self._writer = tf.summary.create_file_writer(str(logs / "tensorboard"))

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes each value under its name."""
        if self._writer is not None:
            with self._writer.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes a uint8 image `[height, width, channels]`."""
        if self._writer is not None:
            with self._writer.as_default(step=step):
                tf.summary.image(name, image[None])


class StepLog:
    """A CSV file with one row per step; its numbers also go to TensorBoard.

    Args:
        path: The CSV file. Its rows up to `step` are kept. Later rows, which the
            checkpoint knows nothing of, are dropped: they will be written again.
        columns: Names of the columns after `step`.
        step: Integer, the step that training starts or resumes from.
        board: `Board`.

    Attributes:
        rows: List of dicts of text, the rows of the file.
    """

    def __init__(self, path: Path, columns: Sequence[str], step: int, board: Board):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = _read_rows(path, step)
        # The file is replaced as a whole: a run killed here still has its log.
        partial = path.with_suffix(".partial")
        self._file = open(partial, "w", newline="")
        self._writer = csv.DictWriter(
            self._file, ["step", *columns], restval="", extrasaction="ignore"
        )
        self._writer.writeheader()
        self._writer.writerows(self.rows)
        self._file.flush()
        os.replace(partial, path)
        self._board = board

    def write(self, step: int, scalars: Mapping[str, float], **row: Any) -> None:
        """Appends a row.

        Args:
            step: Integer.
            scalars: Numbers, for the columns of the same names and for TensorBoard.
            **row: Further columns of the row.
        """
        numbers = {name: f"{value:.6g}" for name, value in scalars.items()}
        written = {"step": str(step), **numbers, **row}
        self.rows.append(written)
        self._writer.writerow(written)
        self._file.flush()
        self._board.write_scalars(step, scalars)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _read_rows(path: Path, step: int) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="") as file:
        # A killed run can leave half a row at the end.
        rows = [
            row
            for row in csv.DictReader(file)
            if row["step"].isdigit() and int(row["step"]) <= step
        ]
    for row in rows:  # version 0.1 had another name for the score
        if "figure" in row:
            row["score"] = row.pop("figure")
    return rows
