"""The rows of a log, a CSV file whose first column is `step`."""

import csv
import json
import math
import re
from collections.abc import Mapping
from typing import Any


def parse_rows(text: str) -> tuple[list[dict[str, str]], list[int]]:
    """Returns the rows of a log, and the numbers of the lines that are damaged.

    Raises:
        ValueError: if it is no log: it has no column `step` first.
    """
    # A killed run can leave half a row at the end.
    lines = text.split("\n")[:-1] or ["step"]
    header = _split(lines[0])
    if header[:1] != ["step"]:
        raise ValueError("it has no column step")
    rows, damaged = [], []
    for number, line in enumerate(lines[1:], start=2):
        values = _split(line)
        if len(values) == len(header) and re.fullmatch(r"[0-9]{1,18}", values[0]):
            rows.append(dict(zip(header, values, strict=True)))
        else:
            damaged.append(number)
    return rows, damaged


def _split(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def parse_dict(text: str | None) -> dict[str, Any]:
    """Returns the dict of a JSON text; of a damaged or missing one, an empty dict."""
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_number(row: Mapping[str, str], name: str) -> float:
    """Returns the number in a column of a row; NaN if there is none."""
    try:
        return float(row[name])
    except (KeyError, TypeError, ValueError):
        return math.nan
