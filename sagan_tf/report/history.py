"""What a run directory tells about its training, read without TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from sagan_tf.config import Config, load_config
from sagan_tf.errors import UserError
from sagan_tf.files import read_text
from sagan_tf.model_files import check_has_logs
from sagan_tf.records import are_yardsticks, read_records
from sagan_tf.rows import parse_dict, parse_rows, read_number


class Scores(NamedTuple):
    """The scores that a run's evaluations during training gave.

    Attributes:
        steps: float `[N]`.
        values: float `[N]`.
        protocol: Dict, that of the last one. Only scores of its protocol are here.
    """

    steps: np.ndarray
    values: np.ndarray
    protocol: dict[str, Any]


class History(NamedTuple):
    """A run's logs.

    Attributes:
        folder: The run directory.
        config: Its `Config`.
        metrics: The columns of `logs/metrics.csv`, float `[rows]` by name, NaN where
            there is no number.
        scores: `Scores` by name, such as `"fid"`, of `logs/evaluation.csv`.
        yardsticks: Dict of the yardsticks of these scores; empty if there are none.
        evaluations: List of the records of `evaluation/STEP.json`, each with its
            `"step"`, from the first step to the last.
        starts: List of dicts of `logs/starts.jsonl`.
        data: Dict, the record of the images, `data.json`; empty if there is none.
        grids: Paths of `samples/STEP.png` by step.
    """

    folder: Path
    config: Config
    metrics: dict[str, np.ndarray]
    scores: dict[str, Scores]
    yardsticks: dict[str, Any]
    evaluations: list[dict[str, Any]]
    starts: list[dict[str, Any]]
    data: dict[str, Any]
    grids: dict[int, Path]

    @property
    def name(self) -> str:
        """The name of the run directory."""
        return self.folder.resolve().name

    @property
    def last_step(self) -> int:
        """The last step of `logs/metrics.csv`."""
        return int(self.metrics["step"][-1])

    @property
    def init_from(self) -> str | None:
        """The networks that training started from, None for random ones."""
        return find_origin(self.starts)

    def column(self, name: str) -> np.ndarray:
        """Returns a column of `logs/metrics.csv`; NaN if it is not there."""
        return self.metrics.get(name, np.full(len(self.metrics["step"]), np.nan))

    def hours(self, steps: Any) -> np.ndarray:
        """Returns the hours of training, without grids and evaluations, up to steps.

        They are NaN where an earlier version logged no times, and beyond the last row.

        Args:
            steps: Number or array `[N]`.

        Returns:
            float of the same shape.
        """
        seconds = self.column("training_seconds")
        if not np.isfinite(seconds).any():
            return np.full(np.shape(steps), np.nan)
        known = np.append(0.0, self.metrics["step"])
        hours = np.interp(steps, known, np.append(0.0, seconds) / 3600, right=np.nan)
        return np.asarray(hours)


def read_histories(workdirs: Sequence[str | Path]) -> list[History]:
    """Reads the logs of several runs; one that is given twice counts once."""
    folders = {Path(workdir).resolve(): workdir for workdir in workdirs}
    return [read_history(workdir) for workdir in folders.values()]


def read_history(workdir: str | Path) -> History:
    """Reads the logs of a run.

    Args:
        workdir: Run directory.

    Raises:
        UserError: if there is no run, it has logged nothing yet, or its networks alone
            are there.
    """
    folder = Path(workdir)
    check_has_logs(folder)
    config = load_config(folder)
    rows = _read_log(folder / "logs" / "metrics.csv")
    if not rows:
        first = min(config.log_interval, config.steps)
        raise UserError(
            f"The run in {workdir} has no row in logs/metrics.csv yet: its first is at "
            f"step {first}"
        )
    metrics = {
        name: np.array([read_number(row, name) for row in rows]) for name in rows[-1]
    }
    samples = (folder / "samples").glob("*.png")
    yardsticks = _read_dict(folder / "logs" / "yardsticks.json")
    return History(
        folder=folder,
        config=config,
        metrics=metrics,
        scores=_read_scores(folder / "logs" / "evaluation.csv"),
        yardsticks=yardsticks if are_yardsticks(yardsticks) else {},
        evaluations=_read_evaluations(folder / "evaluation"),
        starts=read_starts(folder),
        data=_read_dict(folder / "data.json"),
        grids={int(p.stem): p for p in sorted(samples) if p.stem.isdecimal()},
    )


def _read_log(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        rows, damaged = parse_rows(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is no log: {error}") from error
    if damaged:
        logging.warning("%s: %d damaged rows are left out", path, len(damaged))
    return rows


def _read_scores(path: Path) -> dict[str, Scores]:
    rows: dict[str, list[Mapping[str, str]]] = {}
    for row in _read_log(path):
        rows.setdefault(row.get("metric", ""), []).append(row)
    scores = {}
    for name, own in rows.items():
        # Scores of different protocols are not comparable.
        same = [row for row in own if row.get("protocol") == own[-1].get("protocol")]
        scores[name] = Scores(
            np.array([float(row["step"]) for row in same]),
            np.array([read_number(row, "score") for row in same]),
            parse_dict(own[-1].get("protocol", "")),
        )
    return scores


def _read_evaluations(folder: Path) -> list[dict[str, Any]]:
    found = []
    paths = [path for path in folder.glob("*.json") if path.stem.isdecimal()]
    for path in sorted(paths, key=lambda path: int(path.stem)):
        try:
            records = read_records(path)
        except UserError as error:
            logging.warning("%s", error)
            continue
        step = int(path.stem)
        found += [{"yardsticks": {}, **record, "step": step} for record in records]
    return found


def read_starts(folder: Path) -> list[dict[str, Any]]:
    """Reads when and on what a run was started: `logs/starts.jsonl`, maybe nothing."""
    lines = _read_optional(folder / "logs" / "starts.jsonl").splitlines()
    return [start for start in map(parse_dict, lines) if start]


def find_origin(starts: Sequence[dict[str, Any]]) -> str | None:
    """Returns the networks that training started from, None for random ones."""
    return starts[0].get("init_from") if starts else None


def _read_dict(path: Path) -> dict[str, Any]:
    return parse_dict(_read_optional(path))


def _read_optional(path: Path) -> str:
    """Returns the text of a file that a report can do without."""
    try:
        return read_text(path) if path.exists() else ""
    except UserError as error:
        logging.warning("%s", error)
        return ""


def have_same_images(histories: Sequence[History]) -> bool:
    """Returns whether all runs were trained on the same images, wherever these lie."""
    return len({history.data.get("sha256") for history in histories}) == 1


def find_differences(histories: Sequence[History]) -> dict[str, list[Any]]:
    """Returns the settings that differ between runs, and the value of each run.

    The run directory is no setting in this sense, nor is where the same images lie.
    """
    values = [
        dataclasses.asdict(history.config) | {"init_from": history.init_from}
        for history in histories
    ]
    left_out = {"workdir"}
    if have_same_images(histories):
        left_out.add("data_dir")
    return {
        name: [own[name] for own in values]
        for name in values[0]
        if name not in left_out and any(own[name] != values[0][name] for own in values)
    }
