"""The scores of runs in tables, one table per protocol."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    in_training: bool  # of --evaluation_interval, not of `sagan-tf evaluate`
    protocol: dict[str, Any]
    step: int
    scores: Mapping[str, float]
    yardsticks: Mapping[str, Any]


# The runs of each group, apart by whether they were evaluated in training.
_Rows = dict[tuple[str, bool], list[list[_Evaluated]]]
# What is evaluated then, as `evaluate` says it without step and seed.
_IN_TRAINING = "EMA generator, truncation 1"


def make_tables(groups: Sequence[Group]) -> list[ScoreTable]:
    """Returns the tables of all evaluations: of `evaluate`, and during training.

    Of several evaluations with the same protocol, those of the last step that all runs
    of a group have count; without one, the last of each run. `evaluate` has a row of
    its own where its step is another than that of the last score during training.

    Args:
        groups: List of `Group`.

    Returns:
        List of `ScoreTable`, one per protocol.
    """
    runs = [
        (group.label, list(_read_evaluated(history)))
        for group in groups
        for history in group.histories
    ]
    keys = _merge_protocols([own.protocol for _, run in runs for own in run])
    found: dict[str, _Rows] = {}
    for label, run in runs:
        by_key: dict[tuple[str, bool], list[_Evaluated]] = {}
        for own in run:
            key = keys[_dump(own.protocol)]
            by_key.setdefault((key, own.in_training), []).append(own)
        for (key, in_training), chosen in by_key.items():
            rows = found.setdefault(key, {})
            rows.setdefault((label, in_training), []).append(chosen)
    sizes = {group.label: len(group.histories) for group in groups}
    return [_make_table(json.loads(key), rows, sizes) for key, rows in found.items()]


def _merge_protocols(protocols: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Returns the table of each protocol, both as JSON text.

    A protocol that another one includes, with the settings of more metrics, is the
    same.
    """
    distinct = {_dump(protocol): protocol for protocol in protocols}
    return {
        key: _dump(
            max((p for p in distinct.values() if own.items() <= p.items()), key=len)
        )
        for key, own in distinct.items()
    }


def _dump(protocol: dict[str, Any]) -> str:
    return json.dumps(protocol, sort_keys=True)


def _read_evaluated(history: History) -> Iterator[_Evaluated]:
    # First those of `evaluate`: where both have a score it has the more exact one.
    for record in history.evaluations:
        protocol, step = find_shared(record["protocol"]), record["step"]
        yield _Evaluated(False, protocol, step, record["scores"], record["yardsticks"])
    for name, scores in history.scores.items():
        protocol = find_shared(scores.protocol) | {"fake": _IN_TRAINING}
        for step, score in zip(scores.steps, scores.values, strict=True):
            own = {name: float(score)}
            yield _Evaluated(True, protocol, int(step), own, history.yardsticks)


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
    protocol: Mapping[str, Any], runs: _Rows, sizes: Mapping[str, int]
) -> ScoreTable:
    """Returns the table of one protocol.

    Args:
        protocol: What all scores share.
        runs: What the runs of each group have of this protocol.
        sizes: The number of runs of each group.
    """
    chosen = {key: _choose_step(own) for key, own in runs.items()}
    columns = list(
        dict.fromkeys(
            name for own in chosen.values() for _, scores in own for name in scores
        )
    )
    rows: dict[tuple[str, tuple[int, ...]], Row] = {}
    for (label, _), own in chosen.items():
        steps = sorted({step for step, _ in own})
        scores = _columns(columns, [scores for _, scores in own])
        other = rows.get((label, tuple(steps)))
        if other:  # that of `evaluate` at the same step
            scores = [
                max(pair, key=len) for pair in zip(other.scores, scores, strict=True)
            ]
        rows[label, tuple(steps)] = Row(label, sizes[label], steps, scores)
    every = [own for group in runs.values() for run in group for own in run]
    yardsticks = [_merge_yardsticks(kind, every) for kind in ("held_out", "noise")]
    of_yardsticks = [
        Row(label, 1, [], _columns(columns, [scores]))
        for label, scores in yardsticks
        if any(name in scores for name in columns)
    ]
    shown = {name: format_value(value) for name, value in protocol.items()}
    return ScoreTable(columns, [*rows.values(), *of_yardsticks], shown)


def _choose_step(
    runs: Sequence[Sequence[_Evaluated]],
) -> list[tuple[int, dict[str, float]]]:
    """Returns the scores of each run at the last step that all have, or at its last."""
    shared = set.intersection(*({own.step for own in run} for run in runs))
    chosen = []
    for run in runs:
        step = max(shared or {own.step for own in run})
        scores = [own.scores for own in run if own.step == step]
        chosen.append((step, {k: v for own in scores for k, v in own.items()}))
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
