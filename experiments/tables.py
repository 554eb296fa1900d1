"""python -m experiments.tables runs/presets/*_seed*

Prints a table in Markdown of what an experiment found, from the files of its run
directories alone: the mean over the seeds, and the standard deviation. With
--equal_time the runs are compared at the training time of the fastest ones, where
scores are interpolated between the checkpoints that were scored. The time of a step is
that of the fastest row in `logs/metrics.csv` of any seed, since other work on the
machine slows some rows.
"""

import argparse
import collections
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sagan_tf.errors import UserError
from sagan_tf.report.curves import (
    Group,
    format_steps,
    group_runs,
    is_number,
    name_score,
)
from sagan_tf.report.history import History, read_histories
from sagan_tf.report.scores import ScoreTable, find_shared, make_tables
from sagan_tf.text import format_duration


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Prints what an experiment found.")
    parser.add_argument("workdirs", nargs="+")
    parser.add_argument("--equal_time", action="store_true")
    try:
        print_tables(**vars(parser.parse_args()))
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def print_tables(workdirs: Sequence[str | Path], equal_time: bool = False) -> None:
    """Prints the scores of runs by all extractors, a row for each group of seeds.

    Runs of different data have a table each, since each extractor belongs to one data
    set.

    Args:
        workdirs: List of run directories.
        equal_time: Boolean, whether to compare the runs of a table at the training time
            of the one that took the least, instead of at their last steps.
    """
    tables: dict[tuple[str, int], list[Group]] = {}
    found = group_runs(read_histories(workdirs))
    for group in found:
        config = group.histories[0].config
        tables.setdefault((config.dataset, config.image_size), []).append(group)
    for (dataset, image_size), groups in tables.items():
        title = f"{dataset}, {image_size} px"
        if equal_time:
            groups, seconds = cut_to_equal_time(groups)
            title += f", after {format_duration(seconds)} of training"
        print(f"\n{title}\n")
        _print_table(groups)
    if not any(own.scores or own.evaluations for g in found for own in g.histories):
        print(
            "\nNo scores: python -m experiments.extractors --workdir=RUN computes them"
        )


def cut_to_equal_time(groups: Sequence[Group]) -> tuple[list[Group], float]:
    """Returns what all runs had reached when the first group was complete.

    Args:
        groups: List of `Group`.

    Returns:
        The groups with logs up to that time, and the time in seconds.
    """
    times = [_seconds_per_step(group) for group in groups]
    pairs = list(zip(groups, times, strict=True))
    seconds = min(
        seconds_per_step * own.last_step
        for group, seconds_per_step in pairs
        for own in group.histories
    )
    equal = [
        Group(group.label, [cut(own, seconds, time) for own in group.histories])
        for group, time in pairs
    ]
    return equal, seconds


def cut(history: History, seconds: float, seconds_per_step: float) -> History:
    """Returns what a run's logs were after some time of training.

    Scores before and after it are interpolated. A score that has none before it is left
    out.

    Args:
        history: `History`.
        seconds: Float.
        seconds_per_step: Float.
    """
    # Without what rounding adds to the last step.
    steps = min(round(seconds / seconds_per_step, 6), history.last_step)
    by_protocol: dict[str, list[dict[str, Any]]] = {}
    for record in history.evaluations:
        key = json.dumps(find_shared(record["protocol"]), sort_keys=True)
        by_protocol.setdefault(key, []).append(record)
    evaluations = []
    for records in by_protocol.values():
        found: dict[str, list[tuple[int, float]]] = {}
        for record in records:
            for name, score in record["scores"].items():
                if is_number(score):
                    found.setdefault(name, []).append((record["step"], score))
        scores = {
            name: _interpolate(steps, *zip(*points, strict=True))
            for name, points in found.items()
        }
        evaluations.append({**records[-1], "scores": scores, "step": round(steps)})
    return history._replace(
        metrics={
            "step": np.array([round(steps)]),
            "training_seconds": np.array([steps * seconds_per_step]),
        },
        scores={
            name: own._replace(
                steps=np.array([steps]),
                values=np.array([_interpolate(steps, own.steps, own.values)]),
            )
            for name, own in history.scores.items()
        },
        evaluations=evaluations,
    )


def _interpolate(step: float, steps: Any, values: Any) -> float:
    return float(np.interp(step, steps, values, left=np.nan, right=np.nan))


def _seconds_per_step(group: Group) -> float:
    """Returns the time of a step in the fastest row of any seed.

    Not the difference of two rows' times: steps between a row and an interruption are
    in neither.
    """
    columns = [own.column("images_per_second") for own in group.histories]
    speeds = np.concatenate(columns)
    speeds = speeds[np.isfinite(speeds) & (speeds > 0)]
    if not len(speeds):
        raise UserError(f"{group.label} has logged no times. Leave out --equal_time")
    return group.histories[0].config.batch_size / float(speeds.max())


def _print_table(groups: Sequence[Group]) -> None:
    tables = make_tables(groups)
    cells: dict[str, dict[str, str]] = {
        group.label: _describe(group, tables) for group in groups
    }
    seen = collections.Counter[str]()
    for table in tables:
        # Scores of different protocols are not comparable.
        seen.update(table.columns)
        for row in table.rows:
            own = cells.setdefault(row.label, {})
            for name, cell in zip(table.columns, row.cells(), strict=True):
                # These have the same names by every extractor, and the report has them.
                if name in ("precision", "recall"):
                    continue
                title = name_score(name, seen[name])
                # Of two rows the first one, of `evaluate`, if it has this score.
                if own.get(title, "-") == "-":
                    own[title] = cell
    columns = list(dict.fromkeys(name for own in cells.values() for name in own))
    print(f"| | {' | '.join(columns)} |")
    print(f"|{'---|' * (len(columns) + 1)}")
    for label, own in cells.items():
        print(f"| {label} | {' | '.join(own.get(name, '') for name in columns)} |")


def _describe(group: Group, tables: Sequence[ScoreTable]) -> dict[str, str]:
    """Returns the steps that were scored, and the time of training up to them."""
    rows = [row for table in tables for row in table.rows if row.label == group.label]
    steps = [step for row in rows for step in row.steps]
    steps = steps or [history.last_step for history in group.histories]
    hours = [own.hours(min(max(steps), own.last_step)) for own in group.histories]
    return {
        "steps": format_steps(steps),
        "training": format_duration(3600 * float(np.mean(hours))),
    }


if __name__ == "__main__":
    main()
