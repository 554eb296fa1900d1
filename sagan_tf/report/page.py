"""The report: one HTML file about runs that needs no server and no network."""

import base64
import collections
import datetime
import html
import io
import json
import math
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf import __version__
from sagan_tf.errors import UserError
from sagan_tf.files import write_text
from sagan_tf.packages import check_installed
from sagan_tf.report.curves import (
    Curve,
    Group,
    Panel,
    describe_differences,
    format_steps,
    format_value,
    group_runs,
    make_panels,
)
from sagan_tf.report.history import History, have_same_images, read_histories
from sagan_tf.report.scores import ScoreTable, make_tables
from sagan_tf.text import format_duration, printable

_MOST_GRIDS = 24  # per run
_ATTENDING = 4  # images whose attention maps are shown
_DASHES = ("solid", "dash", "dot", "dashdot")


def check_packages() -> None:
    """Raises a `UserError` unless the packages of a report are installed."""
    check_installed("A report", "plot", "plotly", "jinja2")


def write_report(workdirs: Sequence[str | Path], output: str | Path) -> Path:
    """Writes a page about a run, or about several side by side.

    It shows scores with their yardsticks and protocols, all logs over steps and over
    hours of training, the grids as a slider over time, attention maps of the last
    checkpoint, the settings, and the machines. Runs that differ in their seed alone are
    a group: its curves and scores are means with the standard deviation.

    Args:
        workdirs: Run directories.
        output: `FILE.html`.

    Returns:
        The file.

    Raises:
        UserError: if a run is missing or has no logs, if Plotly or Jinja is not
            installed, or the output cannot be written.

    Example:

    ```python
    write_report(["runs/a", "runs/b"], "report.html")
    ```
    """
    path = Path(output)
    if path.suffix != ".html":
        raise UserError(f"--output takes FILE.html. Received: {output}")
    check_packages()
    import jinja2
    from plotly.offline import get_plotlyjs

    histories = read_histories(workdirs)
    groups = group_runs(histories)
    panels, tables = make_panels(groups), make_tables(groups)
    scored = {row.label for table in tables for row in table.rows}
    template = resources.files(__package__).joinpath("report.html").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.from_string(template).render(
        title=", ".join(printable(group.label) for group in groups),
        version=__version__,
        written=datetime.date.today().isoformat(),
        groups=[_describe_group(group) for group in groups],
        labels=[printable(group.label) for group in groups],
        differences=describe_differences(groups) if len(groups) > 1 else {},
        settings=[_describe_settings(group) for group in groups],
        have_same_images=have_same_images(histories),
        tables=[_describe_table(table) for table in tables],
        not_scored=[printable(g.label) for g in groups if g.label not in scored],
        attention=[_draw_attention(group.histories[0]) for group in groups],
        starts=[_describe_start(h, start) for h in histories for start in h.starts],
        has_hours=any(np.isfinite(c.hours).any() for p in panels for c in p.curves),
        charts=_script([_make_chart(panel) for panel in panels]),
        grids=_script([_pack_grids(h) for h in histories if h.grids]),
        plotly=get_plotlyjs(),
    )
    write_text(path, page)
    return path


def _script(value: Any) -> str:
    """Returns JSON for a script element, which any "<" in it could end."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _describe_group(group: Group) -> dict[str, Any]:
    def mean(name: str) -> float:
        return float(np.mean([h.column(name)[-1] for h in group.histories]))

    speeds = np.concatenate([h.column("images_per_second") for h in group.histories])
    speeds = speeds[np.isfinite(speeds)]
    starts = [start for history in group.histories for start in history.starts]
    devices = [str(start["devices"]) for start in starts if start.get("devices")]
    return {
        "label": printable(group.label),
        "seeds": ", ".join(str(h.config.seed) for h in group.histories),
        "steps": format_steps([history.last_step for history in group.histories]),
        "training": format_duration(mean("training_seconds")),
        "elapsed": format_duration(mean("elapsed_seconds")),
        "speed": f"{np.median(speeds):,.0f}" if len(speeds) else "-",
        "devices": ", ".join(dict.fromkeys(devices)) or "-",
    }


def _describe_settings(group: Group) -> dict[str, Any]:
    values = json.loads(group.histories[0].config.to_json())
    folder = group.histories[0].folder
    command = shlex.join(["sagan-tf", "train", f"--workdir={folder}"])
    return {
        "label": printable(group.label),
        "values": {name: format_value(value) for name, value in values.items()},
        "command": command,
    }


def _describe_table(table: ScoreTable) -> dict[str, Any]:
    rows = [
        (printable(row.label), format_steps(row.steps), row.cells())
        for row in table.rows
    ]
    titles = {
        "extractor": "Extractor",
        "num_fake": "Generated images",
        "fake": "By",
        "real": "Compared with",
    }
    caption = [
        f"{title}: {printable(table.protocol[name])}"
        for name, title in titles.items()
        if table.protocol.get(name)
    ]
    return {
        "caption": ". ".join(caption),
        "columns": table.columns,
        "rows": rows,
        "protocol": table.protocol,
    }


def _make_chart(panel: Panel) -> dict[str, Any]:
    """Returns a Plotly chart: its title, and its traces over steps and over hours."""
    traces = []
    for curve in panel.curves:
        color, index = panel.style(curve)
        dash = _DASHES[index % len(_DASHES)]
        label = html.escape(printable(panel.label(curve)))  # Plotly shows markup
        traces += _make_traces(curve, label, color, dash, panel.is_wide)
    return {
        "title": panel.title,
        "real": panel.real,
        "scale": "log" if panel.is_wide else "linear",
        "traces": traces,
    }


def _make_traces(
    curve: Curve, label: str, color: str, dash: str, is_logarithmic: bool
) -> list[dict[str, Any]]:
    times = {"steps": _numbers(curve.steps), "hours": _numbers(curve.hours)}
    line = {
        "name": label,
        "y": _numbers(curve.mean),
        "mode": "lines" if len(curve.steps) > 1 else "markers",
        "line": {"color": color, "dash": dash, "width": 1.6},
        "times": times,
    }
    if not curve.spread.any():
        return [line]
    low = curve.mean - curve.spread
    if is_logarithmic:  # a logarithmic axis has no place for 0
        low = np.maximum(low, curve.mean / 10)
    edges = (low, curve.mean + curve.spread)
    band = {
        "name": f"{label} ± standard deviation",
        "y": [*_numbers(edges[1]), *_numbers(edges[0][::-1])],
        "mode": "none",
        "fill": "toself",
        "fillcolor": f"{color}33",
        "hoverinfo": "skip",
        "showlegend": False,
        "times": {name: [*values, *values[::-1]] for name, values in times.items()},
    }
    return [band, line]


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values]


def _pack_grids(history: History) -> dict[str, Any]:
    """Returns the grids of a run as images within the page, at most `_MOST_GRIDS`."""
    steps = sorted(history.grids)
    chosen = np.linspace(0, len(steps) - 1, min(len(steps), _MOST_GRIDS)).round()
    grids = []
    for step in (steps[int(index)] for index in chosen):
        try:
            with Image.open(history.grids[step], formats=["PNG"]) as picture:
                source = _data_url(picture.convert("RGB"))
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:
            logging.warning("%s is left out: %s", history.grids[step], error)
            continue
        (hours,) = _numbers(history.hours([step]))
        grids.append({"step": step, "hours": hours, "source": source})
    return {"label": printable(history.name), "grids": grids}


def _draw_attention(history: History) -> dict[str, Any]:
    """Returns the attention maps of the last checkpoint, or why there are none."""
    from sagan_tf.run import load_run
    from sagan_tf.visualization.attend import draw_attention

    label = printable(history.name)
    try:
        run = load_run(history.folder)
    except UserError as error:
        return {"label": label, "note": str(error), "sheets": {}}
    seed = history.config.seed
    sheets = draw_attention(run.sampler, run.discriminator, _ATTENDING, seed)
    note = f"Step {run.step:,}" if sheets else "These networks have no attention."
    return {
        "label": label,
        "note": note,
        "sheets": {name: _data_url(sheet) for name, sheet in sheets.items()},
    }


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _describe_start(history: History, start: dict[str, Any]) -> dict[str, str]:
    known = collections.defaultdict(lambda: "-", start)
    time = str(known["time"]).replace("T", " ").replace("+00:00", " UTC")
    return {
        "run": printable(history.name),
        "step": str(known["step"]),
        "time": printable(time),
        "processor": printable(f"{known['processor']}, {known['cores']} cores"),
        "memory": printable(f"{known['memory_gib']} GiB"),
        "devices": printable(str(known["devices"])),
        "versions": printable(
            f"sagan_tf {known['sagan_tf']}, TensorFlow {known['tensorflow']}, "
            f"Keras {known['keras']}, Python {known['python']}"
        ),
    }
