"""Plots of runs as picture files, for papers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sagan_tf.errors import UserError
from sagan_tf.files import replacing
from sagan_tf.packages import check_installed
from sagan_tf.report.curves import Curve, Panel, group_runs, make_panels
from sagan_tf.report.history import read_histories
from sagan_tf.text import format_names

SUFFIXES = (".png", ".pdf", ".svg")
_COLUMNS = 2
_WIDTH, _HEIGHT = 5.0, 3.2  # inches of a panel
_DPI = 200
_FEW = 2  # entries of a legend
_DASHES = ("-", "--", ":", "-.")


def write_plot(
    workdirs: Sequence[str | Path],
    output: str | Path,
    columns: Sequence[str] = (),
    x: str = "steps",
) -> Path:
    """Plots the logs of runs with Matplotlib.

    Runs that differ in their seed alone are one curve, their mean, in a band of one
    standard deviation over the seeds.

    Args:
        workdirs: Run directories.
        output: `FILE.png`, `FILE.pdf` or `FILE.svg`.
        columns: Titles of panels, or names of columns of `logs/metrics.csv` and of
            scores, each of which gets a panel of its own. The default is all panels.
        x: `"steps"` or `"hours"`, of training.

    Returns:
        The file.

    Raises:
        UserError: if a run or a column is missing, hours are unknown, Matplotlib is not
            installed, or the output cannot be written.
    """
    path = Path(output)
    if path.suffix not in SUFFIXES:
        names = format_names([f"FILE{suffix}" for suffix in SUFFIXES])
        raise UserError(f"--output takes one of {names}. Received: {output}")
    check_installed("A plot", "plot", "matplotlib")
    panels = make_panels(group_runs(read_histories(workdirs)))
    chosen = [_choose(panels, name) for name in columns] or panels
    curves = [curve for panel in chosen for curve in panel.curves]
    if x == "hours" and not any(map(_has_hours, curves)):
        raise UserError(
            "The logs have no times: an earlier version wrote them. Give --x=steps"
        )
    if not chosen:
        raise UserError("The logs have no column that could be plotted")
    figure = _draw(chosen, x)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI, format=path.suffix[1:])
    return path


def _choose(panels: Sequence[Panel], name: str) -> Panel:
    for panel in panels:
        if panel.title == name:
            return panel
    for panel in panels:
        curves = [curve for curve in panel.curves if curve.name == name]
        if curves:
            return panel._replace(title=name, curves=curves)
    titles = [panel.title for panel in panels]
    names = dict.fromkeys(titles + [c.name for panel in panels for c in panel.curves])
    raise UserError(
        f"The logs have no column {name!r}. They have {format_names(names)}"
    )


def _has_hours(curve: Curve) -> bool:
    return bool((curve.hours == curve.hours).any())


def _draw(panels: Sequence[Panel], x: str) -> Any:
    # Not pyplot, which would choose a window system.
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * _WIDTH, rows * _HEIGHT), layout="constrained")
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        for curve in panel.curves:
            _draw_curve(axes, curve, x, panel)
        axes.set_yscale("log" if panel.is_wide else "linear")
        if panel.real is not None:
            axes.axhline(panel.real, color="gray", linestyle=":", label="held-out real")
        axes.set_title(panel.title)
        axes.set_xlabel("steps" if x == "steps" else "hours of training")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(alpha=0.3)
        labels = axes.get_legend_handles_labels()[1]
        if len(labels) > _FEW:  # inside it would hide curves
            below = (0.5, -0.27)
            axes.legend(
                loc="upper center", bbox_to_anchor=below, ncols=2, fontsize="x-small"
            )
        elif len(labels) > 1:
            axes.legend(fontsize="x-small")
    return figure


def _draw_curve(axes: Any, curve: Curve, x: str, panel: Panel) -> None:
    positions = curve.steps if x == "steps" else curve.hours
    color, index = panel.style(curve)
    axes.plot(
        positions,
        curve.mean,
        label=panel.label(curve),
        color=color,
        linestyle=_DASHES[index % len(_DASHES)],
        marker="" if len(curve.steps) > 1 else "o",  # a line of one point is none
        linewidth=1.2,
    )
    if curve.spread.any():
        axes.fill_between(
            positions,
            curve.mean - curve.spread,
            curve.mean + curve.spread,
            color=color,
            alpha=0.2,
            linewidth=0,
        )
