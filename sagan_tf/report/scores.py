"""The scores of runs in tables, one table per protocol."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.report.curves import Group, format_value, is_number
from sagan_tf.report.history import History


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        label: What was evaluated.
        num_runs: Integer, the number of runs, also of those without scores.
        steps: List of the steps that were evaluated; of real images and noise it is
            empty.
        scores: List of lists, for each column the scores of all runs that have one.
    """

    label: str
    num_runs: int
    steps: list[int]
    scores: list[list[float]]

    def cells(self) -> list[str]:
        """Returns "mean ± standard deviation" for each column, or a single score.

        If some of the runs have no score, their number follows.
        """
        return [_format(own, self.num_runs) for own in self.scores]


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


class _Evaluated(NamedTuple):
    """The scores of one step of a run."""

    kind: str  # the score's name during training, "" of `sagan-tf evaluate`
    protocol: dict[str, Any]
    step: int
    scores: Mapping[str, float]
    yardsticks: Mapping[str, Any]


def make_tables(groups: Sequence[Group]) -> list[ScoreTable]:
    """Returns the tables of all evaluations: of `evaluate`, and during training.

    Of several evaluations with the same protocol, those of the last step that all runs
    of a group have count; without one, the last of each run.

    Args:
        groups: List of `Group`.

    Returns:
        List of `ScoreTable`, one per protocol.
    """
    found: dict[str, dict[str, list[list[_Evaluated]]]] = {}
    for group in groups:
        for history in group.histories:
            for key, own in _by_protocol(history).items():
                found.setdefault(key, {}).setdefault(group.label, []).append(own)
    sizes = {group.label: len(group.histories) for group in groups}
    return [_make_table(runs, sizes) for runs in found.values()]


def _by_protocol(history: History) -> dict[str, list[_Evaluated]]:
    found: dict[str, list[_Evaluated]] = {}
    for evaluated in _read_evaluated(history):
        key = json.dumps([evaluated.kind, evaluated.protocol], sort_keys=True)
        found.setdefault(key, []).append(evaluated)
    return found


def _read_evaluated(history: History) -> Iterator[_Evaluated]:
    for name, scores in history.scores.items():
        protocol = find_shared(scores.protocol)
        for step, score in zip(scores.steps, scores.values, strict=True):
            own = {name: float(score)}
            yield _Evaluated(name, protocol, int(step), own, history.yardsticks)
    for record in history.evaluations:
        protocol, step = find_shared(record["protocol"]), record["step"]
        yield _Evaluated("", protocol, step, record["scores"], record["yardsticks"])


def find_shared(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a protocol runs share: not the step, the seed and the images.

    Args:
        protocol: Dict of a record; see `sagan_tf.records.read_records`.
    """
    shared = {name: v for name, v in protocol.items() if name != "fake_sha256"}
    if "fake" in shared:
        shared["fake"] = re.sub(r" at step \d+, seed \d+", "", str(shared["fake"]))
    return shared


def _make_table(
    groups: Mapping[str, Sequence[Sequence[_Evaluated]]], sizes: Mapping[str, int]
) -> ScoreTable:
    """Returns the table of one protocol.

    Args:
        groups: For each group's label what its runs have of this protocol.
        sizes: The number of runs of each group.
    """
    chosen = {label: _choose_step(runs) for label, runs in groups.items()}
    columns = list(
        dict.fromkeys(
            name for runs in chosen.values() for own in runs for name in own.scores
        )
    )
    rows = [
        Row(
            label,
            sizes[label],
            sorted({own.step for own in runs}),
            _columns(columns, [own.scores for own in runs]),
        )
        for label, runs in chosen.items()
    ]
    every = [own for runs in groups.values() for run in runs for own in run]
    for kind in ("held_out", "noise"):
        label, scores = _merge_yardsticks(kind, every)
        if any(name in scores for name in columns):
            rows.append(Row(label, 1, [], _columns(columns, [scores])))
    shown = {name: format_value(value) for name, value in every[0].protocol.items()}
    return ScoreTable(columns, rows, shown)


def _choose_step(runs: Sequence[Sequence[_Evaluated]]) -> list[_Evaluated]:
    """Returns the scores of each run at the last step that all have, or at its last."""
    shared = set.intersection(*({own.step for own in run} for run in runs))
    chosen = []
    for run in runs:
        step = max(shared or {own.step for own in run})
        chosen.append([own for own in run if own.step == step][-1])
    return chosen


def _merge_yardsticks(
    kind: str, every: Sequence[_Evaluated]
) -> tuple[str, dict[str, Any]]:
    """Returns the label and the scores of held-out real images, or of noise."""
    yardsticks = [own.yardsticks[kind] for own in every if kind in own.yardsticks]
    scores = {k: v for yardstick in yardsticks for k, v in yardstick["scores"].items()}
    if kind == "noise":
        return "noise", scores
    # Distances of few images are larger: the label says how many there are.
    counts = {yardstick.get("num_images") for yardstick in yardsticks}
    (count,) = counts if len(counts) == 1 else (None,)
    number = f"{count:,} " if isinstance(count, int) else ""
    return f"{number}held-out real images", scores


def _columns(
    names: Sequence[str], scores: Sequence[Mapping[str, Any]]
) -> list[list[float]]:
    return [[own[name] for own in scores if is_number(own.get(name))] for name in names]


def _format(scores: Sequence[float], num_runs: int) -> str:
    if not scores:
        return "-"
    missing = f" ({len(scores)} of {num_runs})" if len(scores) < num_runs else ""
    if len(scores) == 1:
        return f"{scores[0]:.4g}{missing}"
    mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1))
    if not spread:
        return f"{mean:.4g} ± 0{missing}"
    # Two digits of the spread, and the mean up to the last one of these.
    digits = max(1 - math.floor(math.log10(spread)), 0)
    return f"{mean:.{digits}f} ± {spread:.{digits}f}{missing}"
