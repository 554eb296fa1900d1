"""python -m experiments.tables runs/presets/*_seed*

Prints a table in Markdown of what an experiment found, from the files of its run
directories alone: the mean over the seeds, and the standard deviation.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sagan_tf.errors import UserError
from sagan_tf.report.curves import Group, format_steps, group_runs
from sagan_tf.report.history import read_histories
from sagan_tf.report.scores import make_tables
from sagan_tf.text import format_duration


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("workdirs", nargs="+")
    try:
        print_tables(parser.parse_args().workdirs)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def print_tables(workdirs: Sequence[str | Path]) -> None:
    """Prints the scores of runs by all extractors, a row for each group of seeds.

    Runs of different data have a table each: an extractor is of its data.
    """
    tables: dict[tuple[str, int], list[Group]] = {}
    for group in group_runs(read_histories(workdirs)):
        config = group.histories[0].config
        tables.setdefault((config.dataset, config.image_size), []).append(group)
    for (dataset, image_size), groups in tables.items():
        print(f"\n{dataset}, {image_size} px\n")
        _print_table(groups)


def _print_table(groups: Sequence[Group]) -> None:
    cells: dict[str, dict[str, str]] = {
        group.label: _describe(group) for group in groups
    }
    for table in make_tables(groups):
        for row in table.rows:
            own = cells.setdefault(row.label, {})
            for name, cell in zip(table.columns, row.cells(), strict=True):
                # These have the same names by every extractor. They are in the report.
                if name not in ("precision", "recall"):
                    own.setdefault(name, cell)
    columns = list(dict.fromkeys(name for own in cells.values() for name in own))
    print(f"| | {' | '.join(columns)} |")
    print(f"|{'---|' * (len(columns) + 1)}")
    for label, own in cells.items():
        print(f"| {label} | {' | '.join(own.get(name, '') for name in columns)} |")


def _describe(group: Group) -> dict[str, str]:
    times = [history.column("training_seconds")[-1] for history in group.histories]
    return {
        "steps": format_steps([history.last_step for history in group.histories]),
        "training": format_duration(float(np.mean(times))),
    }


if __name__ == "__main__":
    main()
