"""The curves of runs: what a report and a plot both draw."""

import collections
import dataclasses
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sagan_tf.report.history import History, find_differences

_MOST_POINTS = 400  # of a curve; more would not be seen
_WIDE = 20  # times the lowest value
# Okabe and Ito's colors, distinct with most color blindness too.
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A"),
    "#8B5A2B",
)
# Panels of the columns of metrics.csv: the title, and what the columns end with.
_PANELS = (
    ("Losses", ("_loss",)),
    ("Logits", ("_logits",)),
    ("Attention γ", ("/gamma",)),
    ("Spectral norm σ", ("/sigma",)),
    ("Images per second", ("images_per_second",)),
)


class Group(NamedTuple):
    """Runs that differ in their seed alone.

    Attributes:
        label: What to call them.
        histories: Their `History`, one per seed.
    """

    label: str
    histories: list[History]


class Curve(NamedTuple):
    """A column over time: the mean over the seeds of a group, and their spread.

    Attributes:
        group: Label of the group.
        name: Name of the column.
        steps: float `[N]`.
        hours: float `[N]`, of training, NaN if they are unknown.
        mean: float `[N]`.
        spread: float `[N]`, the standard deviation over the seeds; with one seed 0.
    """

    group: str
    name: str
    steps: np.ndarray
    hours: np.ndarray
    mean: np.ndarray
    spread: np.ndarray


class Panel(NamedTuple):
    """Curves that belong into one picture.

    Attributes:
        title: Its title.
        curves: List of `Curve`.
        groups: Labels of all groups that are compared, also of those that have no curve
            here.
        is_score: Boolean, whether they are of a score.
        real: Float, the score of held-out real images, or None.
    """

    title: str
    curves: list[Curve]
    groups: list[str]
    is_score: bool = False
    real: float | None = None

    @property
    def is_wide(self) -> bool:
        """Whether its scores need a logarithmic axis: positive, far from each other."""
        if not self.is_score:
            return False
        values = np.concatenate([curve.mean for curve in self.curves])
        values = values[np.isfinite(values)]
        if not len(values):
            return False
        return values.min() > 0 and values.max() > _WIDE * values.min()

    def style(self, curve: Curve) -> tuple[str, int]:
        """Returns the color of a curve, and the index of its dashes.

        With several groups a color is a group, the same in all panels, else it is a
        column.
        """
        names = list(dict.fromkeys(other.name for other in self.curves))
        group, name = self.groups.index(curve.group), names.index(curve.name)
        if len(self.groups) == 1:
            return _COLORS[name % len(_COLORS)], 0
        return _COLORS[group % len(_COLORS)], name

    def label(self, curve: Curve) -> str:
        """Returns the label of a curve in the legend."""
        parts = []
        if len(self.groups) > 1:
            parts.append(curve.group)
        if len({other.name for other in self.curves}) > 1:
            parts.append(_shorten(curve.name))
        return ", ".join(parts) or curve.name


def _shorten(column: str) -> str:
    """Returns a column's name without what the panel's title says.

    `generator/attention_16x16/gamma` becomes `generator attention_16x16`.
    """
    for ending in ("/gamma", "/sigma", "_loss", "_logits"):
        column = column.removesuffix(ending)
    return column.replace("/", " ")


def group_runs(histories: Sequence[History]) -> list[Group]:
    """Groups runs that differ in their seed alone, in the order of their first ones.

    Args:
        histories: List of `History`.

    Returns:
        List of `Group`. A second run with the same seed is in a group of its own.
    """
    groups: dict[tuple[str, int], list[History]] = {}
    seen = collections.Counter[tuple[str, int]]()
    for history in histories:
        training, seed = _describe_training(history), history.config.seed
        seen[training, seed] += 1
        groups.setdefault((training, seen[training, seed]), []).append(history)
    own = list(groups.values())
    labels = list(_labels(own))
    return [
        # Equal names are prefixed with their folders.
        Group(label if labels.count(label) == 1 else f"{runs[0].folder}: {label}", runs)
        for label, runs in zip(labels, own, strict=True)
    ]


def _describe_training(history: History) -> str:
    """Returns the steps, images, first networks, and all that a resumed run keeps."""
    config = history.config
    settings = [
        getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name == "steps"
        or not (field.name in ("seed", "workdir") or field.metadata["resume"])
    ]
    return repr([settings, history.data.get("sha256"), history.init_from])


def _labels(groups: Sequence[Sequence[History]]) -> Iterator[str]:
    for runs in groups:
        if len(runs) == 1:
            yield runs[0].name
            continue
        shared = os.path.commonprefix([run.name for run in runs])
        shared = shared.rstrip("0123456789-_. ").removesuffix("seed").rstrip("-_. ")
        yield f"{shared or runs[0].name} ({len(runs)} seeds)"


def make_panels(groups: Sequence[Group]) -> list[Panel]:
    """Returns the panels that the logs have columns for; the scores come first."""
    panels = list(_score_panels(groups))
    labels = [group.label for group in groups]
    for title, endings in _PANELS:
        curves = [
            curve
            for group in groups
            for curve in _metric_curves(group, endings)
            if np.isfinite(curve.mean).any()
        ]
        if curves:
            panels.append(Panel(title, curves, labels))
    return panels


def _score_panels(groups: Sequence[Group]) -> Iterator[Panel]:
    """Yields a panel for each score and protocol: others are not comparable."""
    found: dict[tuple[str, str], dict[str, list[History]]] = {}
    labels = [group.label for group in groups]
    for group in groups:
        for run in group.histories:
            for name, scores in run.scores.items():
                key = (name, json.dumps(scores.protocol, sort_keys=True))
                found.setdefault(key, {}).setdefault(group.label, []).append(run)
    seen = collections.Counter[str]()
    for (name, _), runs in found.items():
        seen[name] += 1
        title = name_score(name, seen[name])
        chosen = [Group(label, own) for label, own in runs.items()]
        curves = [_score_curve(group, name) for group in chosen]
        drawn = [c for c in curves if c is not None and np.isfinite(c.mean).any()]
        if drawn:
            yield Panel(title, drawn, labels, True, _find_real(chosen, name))


def name_score(name: str, number: int) -> str:
    """Returns the title of a score by its first protocol, second protocol and so on."""
    return name if number == 1 else f"{name} (protocol {number})"


def _score_curve(group: Group, name: str) -> Curve | None:
    scores = [(run, run.scores[name]) for run in group.histories]
    return _average(
        group.label, name, [(run, own.steps, own.values) for run, own in scores]
    )


def _metric_curves(group: Group, endings: Sequence[str]) -> Iterator[Curve]:
    names = [name for run in group.histories for name in run.metrics]
    for name in dict.fromkeys(names):
        if not name.endswith(tuple(endings)):
            continue
        runs = [run for run in group.histories if name in run.metrics]
        curve = _average(
            group.label,
            name,
            [(run, run.metrics["step"], run.metrics[name]) for run in runs],
        )
        if curve is not None:
            yield curve


def _average(
    label: str, name: str, runs: Sequence[tuple[History, np.ndarray, np.ndarray]]
) -> Curve | None:
    """Averages a column over runs at the steps that all of them have."""
    if not runs:
        return None
    steps = np.unique(runs[0][1])
    for _, own, _ in runs[1:]:
        steps = np.intersect1d(steps, own)
    if not len(steps):
        return None
    # A step that was logged twice has its last value.
    tables = [dict(zip(own, column, strict=True)) for _, own, column in runs]
    values = np.array([[table[step] for step in steps] for table in tables])
    hours = np.mean([run.hours(steps) for run, _, _ in runs], axis=0)
    spread = values.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(len(steps))
    bins = np.array_split(np.arange(len(steps)), min(len(steps), _MOST_POINTS))
    ends = [indices[-1] for indices in bins]

    def thin(numbers: np.ndarray) -> np.ndarray:
        return np.array([numbers[indices].mean() for indices in bins])

    return Curve(
        label, name, steps[ends], hours[ends], thin(values.mean(axis=0)), thin(spread)
    )


def _find_real(groups: Sequence[Group], name: str) -> float | None:
    for group in groups:
        for run in group.histories:
            held_out = run.yardsticks.get("held_out", {})
            score = held_out.get("scores", {}).get(name)
            if is_number(score):
                return float(score)
    return None


def is_number(score: object) -> bool:
    """Returns whether a score, read from a file, is a finite number."""
    return isinstance(score, (int, float)) and math.isfinite(score)


def describe_differences(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Returns the settings that differ between groups, as text for each group."""
    differences = find_differences([group.histories[0] for group in groups])
    differences.pop("seed", None)
    return {
        name: [format_value(value) for value in values]
        for name, values in differences.items()
    }


def format_steps(steps: Sequence[int]) -> str:
    """Returns the least and the greatest step, such as `"200 to 1,000"`, or the one."""
    ends = sorted({min(steps), max(steps)}) if steps else []
    return " to ".join(f"{step:,}" for step in ends)


def format_value(value: object) -> str:
    """Returns a setting's value as a flag has it."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
