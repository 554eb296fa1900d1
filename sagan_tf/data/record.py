"""What a run was trained on, so that changed data are noticed when it is resumed."""

import json
from pathlib import Path
from typing import Any

from sagan_tf.data.prepared import LoadedData, hash_data
from sagan_tf.errors import UserError
from sagan_tf.files import read_json, write_text

_NAMED = 5  # files that a message names


def make_record(data: LoadedData) -> dict[str, Any]:
    """Returns what identifies images and labels as training uses them, for JSON.

    A folder's record has the name and checksum of each decoded image: a
    copied or moved folder is the same, whatever its dates, and of a changed one each
    file can be named.
    """
    record = {
        "num_images": len(data.images),
        "sha256": data.sha256 or hash_data(data.images, data.labels),
    }
    if data.names:
        checksums = (f"{checksum:08x}" for checksum in data.checksums.tolist())
        record["files"] = dict(zip(data.names, checksums, strict=True))
    return record


def find_changes(run_dir: Path, record: dict[str, Any]) -> str | None:
    """Compares data with those that a run was trained on.

    Args:
        run_dir: Run directory; the record of its data is `data.json`.
        record: That of the data, by `make_record`.

    Returns:
        What has changed, or None if nothing has or there is no record, as in a new run
        or one of version 0.1.

    Raises:
        UserError: if the file is damaged.
    """
    path = run_dir / "data.json"
    former = _read_record(path) if path.exists() else record
    if former["sha256"] == record["sha256"]:
        return None
    return _describe_changes(former, record)


def check_record(run_dir: Path, record: dict[str, Any], accept: bool) -> None:
    """Refuses data that have changed since a run was trained, and keeps their record.

    Args:
        run_dir: Run directory.
        record: That of the data, by `make_record`.
        accept: Boolean, whether changed data are accepted from now on.

    Raises:
        UserError: if the data have changed, or the file is damaged.
    """
    changes = find_changes(run_dir, record)
    if changes and not accept:
        raise UserError(
            f"The data are no longer those that the run in {run_dir} was trained on: "
            f"{changes}. Restore them, or resume with the data as they are now by "
            "adding --accept_changed_data"
        )
    if changes or not (run_dir / "data.json").exists():
        write_text(run_dir / "data.json", json.dumps(record) + "\n")


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = read_json(path)
    except UserError:
        record = None
    valid = (
        isinstance(record, dict)
        and isinstance(record.get("sha256"), str)
        and isinstance(record.get("num_images"), int)
        and isinstance(record.get("files", {}), dict)
    )
    if not valid:
        raise UserError(
            f"{path} is damaged: it is no record of a data set. Delete it to accept "
            "the data as they are now"
        )
    return record


def _describe_changes(former: dict[str, Any], record: dict[str, Any]) -> str:
    """Returns which files were added, removed or replaced, or that images differ."""
    before, after = former.get("files", {}), record.get("files", {})
    changes = {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "replaced": [
            name for name in after if name in before and after[name] != before[name]
        ],
    }
    described = [
        f"{len(names):,} {change} ({', '.join(names[:_NAMED])}"
        f"{', ...' * (len(names) > _NAMED)})"
        for change, names in changes.items()
        if names and before and after
    ]
    if described:
        return f"of {former['num_images']:,} files, {'; '.join(described)}"
    return (
        f"{former['num_images']:,} images then, {record['num_images']:,} images now, "
        "with other pixels, labels or order"
    )
