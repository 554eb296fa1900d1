"""Checks of a run directory, or of exported networks. Both are only read."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from sagan_tf.config import RUN_CONTENTS, load_config
from sagan_tf.doctor.findings import COMMAND, Check, Finding, describe, shorten
from sagan_tf.files import read_json, read_text
from sagan_tf.rows import parse_rows

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of the names of tensors in a checkpoint


def find_folder(workdir: str) -> Path:
    """Returns the folder of a run, or of the pretrained networks that `workdir` names.

    These may lie in the package.
    """
    try:
        from sagan_tf.model_files import find_pretrained
    except ImportError:  # without NumPy, which another check says
        return Path(workdir)
    return find_pretrained(workdir) or Path(workdir)


def list_checks(workdir: Path) -> list[Check]:
    """Returns the checks of a run directory."""
    if not any((workdir / name).exists() for name in ("config.json", *RUN_CONTENTS)):
        remedy = f"Give the directory of a run: {COMMAND} --workdir=runs/digits"
        return [Check("config.json", lambda: check_config(workdir), remedy, False)]
    copy = "Restore the file from a copy"
    if (workdir / "networks.npz").exists():
        return [
            Check("config.json", lambda: check_config(workdir), copy, False),
            Check("networks", lambda: check_networks(workdir), copy),
        ]
    owner = f"Check who owns the files: ls -la {shlex.quote(str(workdir))}"
    return [
        Check("config.json", lambda: check_config(workdir), copy, False),
        Check("lock", lambda: check_lock(workdir), owner, False),
        Check("checkpoints", lambda: check_checkpoints(workdir), owner),
        Check("logs", lambda: check_logs(workdir), owner),
        Check("leftovers", lambda: check_leftovers(workdir), owner),
    ]


def check_config(workdir: Path) -> Iterator[Finding]:
    """Checks the settings of a run."""
    config = load_config(workdir)
    found = f"{config.dataset}, {config.image_size} px, {config.architecture}"
    yield Finding("config.json", "ok", f"{found}, {config.steps:,} steps")


def check_networks(workdir: Path) -> Iterator[Finding]:
    """Loads exported networks."""
    from sagan_tf.run import load_run

    found = f"loaded, of step {load_run(workdir).step:,}, without a run"
    yield Finding("networks", "ok", found)


def check_lock(workdir: Path) -> Iterator[Finding]:
    """Says who writes a run."""
    from sagan_tf.training.lock import describe_holder, is_locked

    try:
        if not is_locked(workdir):
            yield Finding("lock", "ok", "free")
            return
        found = f"{workdir} is being written by {describe_holder(workdir)}"
        remedy = "Wait for its end, or stop it, before you train there"
    except OSError as error:
        found = f"unknown: {describe(error)}"
        remedy = f"Check who owns it: ls -la {shlex.quote(str(workdir))}"
    yield Finding("lock", "warning", found, remedy)


def check_checkpoints(workdir: Path) -> Iterator[Finding]:
    """Reads every tensor of every checkpoint, whose checksums TensorFlow verifies."""
    from sagan_tf.training.checkpoints import find_checkpoints

    paths = find_checkpoints(workdir)
    if not paths:
        command = shlex.quote(f"--workdir={workdir}")
        yield Finding(
            "checkpoints",
            "warning",
            "none yet",
            f"Train: python -m sagan_tf train {command}",
        )
        return
    problems = {path: problem for path in paths if (problem := _find_damage(path))}
    for path, problem in problems.items():
        yield Finding(
            "checkpoints",
            "failure",
            problem,
            f"Delete it; the others are whole: rm {shlex.quote(str(path))}.*"
            if len(problems) < len(paths)
            else "Restore the folder from a copy, or give a new run another --workdir",
        )
    whole = [
        f"{path.parent.name} " * (path.parent.name == "best") + path.name
        for path in paths
        if path not in problems
    ]
    if whole:
        yield Finding("checkpoints", "ok", f"verified: {', '.join(whole)}")


def _find_damage(path: Path) -> str:
    """Returns what is wrong with a checkpoint, or `""`."""
    import tensorflow as tf

    name = ""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in sorted(reader.get_variable_to_shape_map()):
            reader.get_tensor(name)
    except Exception:  # damaged files fail in many ways
        if not path.with_name(f"{path.name}.index").exists():
            return ""  # a training has replaced it meanwhile
        if not name:
            return f"{path}.index is damaged"
        return f"{path} is damaged at {name.removesuffix(_SUFFIX)}"
    return ""


def check_logs(workdir: Path) -> Iterator[Finding]:
    """Reads the logs, the scores and the record of the data."""
    paths = [
        *sorted((workdir / "logs").glob("*.csv")),
        *sorted((workdir / "evaluation").glob("*.json")),
        *workdir.glob("data.json"),
    ]
    bad = 0
    for path in paths:
        try:
            if path.suffix == ".json":
                read_json(path)
            else:
                _, damaged = parse_rows(read_text(path))
                if damaged:
                    raise ValueError(f"row {damaged[0]} is damaged")
        except Exception as error:
            bad += 1
            quoted = shlex.quote(str(path))
            yield Finding(
                "logs",
                "failure",
                f"{path} cannot be read: {describe(error)}",
                f"Set it aside; a new one is begun: mv {quoted} {quoted}.damaged",
            )
    if not bad:
        yield Finding("logs", "ok", f"{len(paths)} readable")


def check_leftovers(workdir: Path) -> Iterator[Finding]:
    """Looks for what killed processes left half-written."""
    from sagan_tf.training.lock import is_locked

    try:
        if is_locked(workdir):
            yield Finding("leftovers", "skipped", "the run is being written")
            return
    except OSError:  # the lock's line says so
        yield Finding("leftovers", "warning", "unknown, as the lock is")
        return
    found = list(workdir.rglob(".partial-*"))
    found += [
        path
        for path in (workdir / "checkpoints").rglob("step-*.data-*")
        if not path.with_suffix(".index").exists() and path not in found
    ]
    if not found:
        yield Finding("leftovers", "ok", "none")
        return
    names = [str(path.relative_to(workdir)) for path in sorted(found)]
    yield Finding(
        "leftovers",
        "warning",
        f"{len(names)} of killed processes: {shorten(names)}",
        "Resuming deletes them: python -m sagan_tf train "
        + shlex.quote(f"--workdir={workdir}"),
    )
