"""The scores of a checkpoint: `evaluation/STEP.json` of its run directory."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from sagan_tf import files
from sagan_tf.errors import UserError

SCORES = "scores.json"  # of exported networks: the records of their step
_SECONDS_FOR_LOCK = 60


def records_path(run_dir: Path, step: int) -> Path:
    """Returns the file of a step's records."""
    return run_dir / "evaluation" / f"{step:06d}.json"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Reads a file of records, none if there is no file.

    Args:
        path: File.

    Returns:
        List of records, each with the dicts `scores`, `protocol` and, if they were
        computed, `yardsticks`; see `sagan_tf.evaluation.measure_yardsticks`.

    Raises:
        UserError: if the file is damaged.
    """
    if not path.exists():
        return []
    records = files.read_json(path)
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise UserError(f"{path} is damaged: it is no list of records")
    return records


def save_record(
    path: Path,
    scores: dict[str, float],
    protocol: dict[str, Any],
    yardsticks: dict[str, Any] | None = None,
) -> None:
    """Adds a record to a file.

    A record with the same protocol is replaced. A damaged file is set aside.

    Args:
        path: File to write; its folder is created.
        scores: Dict of floats.
        protocol: Dict of everything that the scores depend on.
        yardsticks: Dict, as returned by `measure_yardsticks`, or None.
    """
    record: dict[str, Any] = {"scores": scores, "protocol": protocol}
    if yardsticks is not None:
        record["yardsticks"] = {k: v._asdict() for k, v in yardsticks.items()}
    with files.write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        # Of two evaluations at a time, each keeps the other's record.
        with FileLock(lock, timeout=_SECONDS_FOR_LOCK):
            try:
                records = read_records(path)
            except UserError as error:
                files.set_aside(path, error)
                records = []
            records = [own for own in records if own["protocol"] != protocol]
            files.write_text(path, json.dumps([*records, record], indent=2) + "\n")


def are_yardsticks(value: Any) -> bool:
    """Whether a value read from a file has the shape of yardsticks."""
    return isinstance(value, dict) and all(
        isinstance(own, dict) and isinstance(own.get("scores"), dict)
        for own in value.values()
    )


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("scores"), dict)
        and all(isinstance(score, int | float) for score in value["scores"].values())
        and isinstance(value.get("protocol"), dict)
        and are_yardsticks(value.get("yardsticks", {}))
    )
