"""The scores of runs in tables, one table per protocol."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.report.curves import Group, format_value, is_number
from sagan_tf.report.history import History

_YARDSTICKS = {"held_out": "held-out real images", "noise": "noise"}


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        label: What was evaluated.
        steps: List of the steps that were evaluated, one per run; of real images and
            noise it is empty.
        scores: List of lists, for each column the scores of all runs that have one.
    """

    label: str
    steps: list[int]
    scores: list[list[float]]

    def cells(self) -> list[str]:
        """Returns "mean ± standard deviation" for each column, or a single score."""
        return [_format(own) for own in self.scores]


class ScoreTable(NamedTuple):
    """Scores that are comparable: all are of one protocol.

    Attributes:
        columns: Names of the scores.
        rows: List of `Row`: the groups, then the yardsticks.
        protocol: Dict of text.
    """

    columns: list[str]
    rows: list[Row]
    protocol: dict[str, str]


def make_tables(groups: Sequence[Group]) -> list[ScoreTable]:
    """Returns the tables of all evaluations: of `evaluate`, and during training.

    Of several evaluations with the same protocol, those of the last step that all runs
    of a group have count; without one, the last of each run.
    """
    found: dict[str, Any] = {}
    for group in groups:
        for history in group.histories:
            for kind, protocol, step, scores, yardsticks in _evaluations(history):
                key = json.dumps([kind, protocol], sort_keys=True)
                own = found.setdefault(
                    key, {"protocol": protocol, "groups": {}, "yardsticks": {}}
                )
                runs = own["groups"].setdefault(group.label, {})
                runs.setdefault(history.folder, {})[step] = scores
                for name, yardstick in yardsticks.items():
                    known = own["yardsticks"].setdefault(name, {})
                    known |= yardstick["scores"]
    return [_make_table(**own) for own in found.values()]


def _evaluations(history: History) -> Iterable[tuple[Any, ...]]:
    for name, scores in history.scores.items():
        protocol = find_shared(scores.protocol)
        for step, score in zip(scores.steps, scores.values, strict=True):
            own = {name: float(score)}
            yield name, protocol, int(step), own, history.yardsticks
    for record in history.evaluations:
        protocol, step = find_shared(record["protocol"]), record["step"]
        yield "", protocol, step, record["scores"], record["yardsticks"]


def find_shared(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a protocol runs share: not the step, the seed and the images."""
    shared = {name: v for name, v in protocol.items() if name != "fake_sha256"}
    if "fake" in shared:
        shared["fake"] = re.sub(r" at step \d+, seed \d+", "", str(shared["fake"]))
    return shared


def _make_table(
    protocol: dict[str, Any],
    groups: dict[str, dict[Any, dict[int, dict[str, float]]]],
    yardsticks: dict[str, Any],
) -> ScoreTable:
    chosen = {
        label: _choose_steps(list(runs.values())) for label, runs in groups.items()
    }
    found = [scores for runs in chosen.values() for _, scores in runs]
    columns = list(dict.fromkeys(name for scores in found for name in scores))
    rows = []
    for label, runs in chosen.items():
        steps = sorted({step for step, _ in runs})
        rows.append(_make_row(label, steps, columns, [scores for _, scores in runs]))
    for kind, title in _YARDSTICKS.items():
        scores = yardsticks.get(kind, {})
        if any(name in scores for name in columns):
            rows.append(_make_row(title, [], columns, [scores]))
    shown = {name: format_value(value) for name, value in protocol.items()}
    return ScoreTable(columns, rows, shown)


def _choose_steps(
    runs: Sequence[dict[int, dict[str, float]]],
) -> list[tuple[int, dict[str, float]]]:
    shared = set.intersection(*(set(run) for run in runs))
    return [
        (step, run[step])
        for run in runs
        for step in [max(shared) if shared else max(run)]
    ]


def _make_row(
    label: str,
    steps: list[int],
    columns: Sequence[str],
    runs: Sequence[Mapping[str, Any]],
) -> Row:
    numbers = [
        [run[name] for run in runs if is_number(run.get(name))] for name in columns
    ]
    return Row(label, steps, numbers)


def _format(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    if len(scores) == 1:
        return f"{scores[0]:.4g}"
    mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1))
    if not spread:
        return f"{mean:.4g} ± 0"
    # Two digits of the spread, and the mean up to the last one of these.
    digits = max(1 - math.floor(math.log10(spread)), 0)
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"
