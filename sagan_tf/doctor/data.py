"""Checks of a data set, and whether it is still that of a run."""

import dataclasses
import functools
import shlex
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from sagan_tf.config import Config, load_config
from sagan_tf.doctor.findings import COMMAND, Check, Finding, shorten
from sagan_tf.errors import UserError
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags
from sagan_tf.text import count

_SAMPLE = 2000  # images of a larger set that are read


def list_checks(
    dataset: str | None, data_dir: str | None, workdir: str | None
) -> list[Check]:
    """Returns the check of the data that are given, or of the run's."""
    run = _load_run(workdir)
    if not (dataset or data_dir or run):
        return []
    remedy = f"Give the folder of the images: {COMMAND} --dataset=folder --data_dir=DIR"
    name = dataset or (run.dataset if run else "folder")
    if name != "folder":
        remedy = (
            "Give another name, or the folder where it is prepared: --data_dir=DIR. "
            "Training downloads what is missing"
        )
    find = functools.partial(check_data, dataset, data_dir, workdir)
    return [Check("data", find, remedy)]


def check_data(
    dataset: str | None, data_dir: str | None, workdir: str | None
) -> Iterator[Finding]:
    """Reads the images of a data set, or a sample of them; nothing is downloaded."""
    from sagan_tf.data import load_data, with_classes
    from sagan_tf.data.record import find_changes, make_record
    from sagan_tf.data.sources import open_source, take_first

    run = _load_run(workdir)
    config = run if run and not dataset else _make_config(dataset, data_dir)
    is_of_run = run is not None and config.dataset == run.dataset
    if run and is_of_run:
        config = dataclasses.replace(run, data_dir=data_dir or run.data_dir)
    try:
        source = open_source(config, download=False)
        total, _ = source.pictures()
    except UserError as error:
        if dataset or data_dir:
            raise
        remedy = "To check them, give their folder: --data_dir=DIR"
        yield Finding("data", "skipped", str(error), remedy)
        return
    is_sample = total > _SAMPLE
    first = take_first(config, _SAMPLE) if is_sample else config
    data = load_data(first, _SAMPLE, download=False)
    total = total if is_sample else len(data.images)
    names = source.class_names()
    classes = f", {count(len(names), 'class')}" if names else ""
    yield Finding(
        "data",
        "ok",
        f"{count(total, 'image')} of {source.description}{classes}"
        f"{f'; a sample of {_SAMPLE:,} was read' * is_sample}",
    )
    if data.skipped:
        yield Finding(
            "data",
            "warning",
            f"{count(len(data.skipped), 'file')}{' of the sample' * is_sample} cannot "
            f"be read: {shorten(data.skipped)}",
            "Replace or delete them; training skips them",
        )
    yield from _check_count(config, total, is_of_run)
    if config.conditional:
        with_classes(config, download=False)  # raises without classes
        if unlabeled := int((data.labels < 0).sum()):
            yield Finding(
                "data",
                "failure",
                f"{unlabeled:,} of {len(data.labels):,} images have no class",
                "Put each into the folder of its class, or train with --noconditional",
            )
    if is_of_run and not is_sample:
        changes = find_changes(Path(str(workdir)), make_record(data))
        if changes:
            yield Finding(
                "data",
                "failure",
                f"no longer those that the run was trained on: {changes}",
                "Restore them, or resume with --accept_changed_data",
            )


def _check_count(config: Config, total: int, is_of_run: bool) -> Iterator[Finding]:
    import tensorflow as tf

    from sagan_tf.training.train import needs_augmentation

    given = [f"--dataset={config.dataset}"]
    # The networks of the preset `folder` are for a GPU.
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if config.dataset == "folder" and not is_of_run and not has_gpu:
        given.insert(0, "--config=faces64")
    if config.data_dir:
        given.append(f"--data_dir={config.data_dir}")
    command = f"python -m sagan_tf train {shlex.join(given)}"
    found = count(total, "image")
    if total < config.batch_size:
        command += f" --batch_size={total}"
        few = f"{found}, fewer than --batch_size={config.batch_size}"
        yield Finding("data", "failure", few, command)
    if needs_augmentation(config, total):
        yield Finding(
            "data",
            "warning",
            f"{found}, which the discriminator may memorize",
            f"For photos, not for text: {command} "
            "--augmentation=color,translation,cutout --horizontal_flip",
        )


def _load_run(workdir: str | None) -> Config | None:
    try:
        return load_config(workdir) if workdir else None
    except UserError:  # no run, or a damaged one, which has a line of its own
        return None


def _make_config(dataset: str | None, data_dir: str | None) -> Config:
    """Returns the settings that training would have with these flags."""
    given = [f"--dataset={dataset or 'folder'}"]
    given += [f"--data_dir={data_dir}"] if data_dir else []
    values = flags.FlagValues()
    define_config_flags(values)
    parse_flags(values, given)
    return config_from_flags(values)
