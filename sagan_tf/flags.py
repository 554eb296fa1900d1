"""The command line: flags from the fields of `Config`, presets, help and errors.

It imports neither TensorFlow nor Keras, so that help and errors appear at once.
"""

import csv
import dataclasses
import difflib
import functools
import io
import math
import os
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

from absl import flags

from sagan_tf.config import (
    Config,
    format_extractor,
    load_config,
    load_preset,
    preset_names,
    value_type,
)
from sagan_tf.errors import UserError
from sagan_tf.start_tensorflow import start_tensorflow
from sagan_tf.text import suggest


def define_config_flags(values: flags.FlagValues) -> None:
    """Defines `--config` and one flag per field of `Config`.

    All are unset by default: an unset flag leaves a preset's value as it is.
    """
    flags.DEFINE_string(
        "config",
        None,
        "A preset's name, or a Python file with get_config(), instead of --dataset.",
        flag_values=values,
    )
    for field in dataclasses.fields(Config):
        kind, is_tuple, is_optional = value_type(field)
        definers: dict[Any, Any] = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }
        define = flags.DEFINE_list if is_tuple else definers[kind]
        if is_optional and kind in _NUMBERS and not is_tuple:
            define = functools.partial(flags.DEFINE, _OptionalParser(_NUMBERS[kind]()))
        define(field.name, None, field.metadata["help"], flag_values=values)


# Settings of a run that starts from trained networks, unless flags say otherwise: the
# EMA must not forget those that it starts from.
OF_TRAINED_NETWORKS: dict[str, Any] = {"ema_warm_up": False, "ema_start_step": 0}
# Paths, what is read from the data, and settings that say nothing about the networks.
_NOT_IN_COMMANDS = ("workdir", "data_dir", "classes", "log_interval", "sample_interval")
_NUMBERS: dict[Any, Any] = {int: flags.IntegerParser, float: flags.FloatParser}
# The value of a flag that unsets an optional setting. None is that of a flag which is
# not given.
_UNSET = ""


class _OptionalParser(flags.ArgumentParser):
    """Parses a number, or an empty text."""

    def __init__(self, parser: Any):
        super().__init__()
        self._parser = parser
        self.syntactic_help = parser.syntactic_help

    def parse(self, argument: Any) -> Any:
        return _UNSET if argument == "" else self._parser.parse(argument)


def config_from_flags(
    values: flags.FlagValues, base: str | Path | None = None
) -> Config:
    """Resolves a config: a preset or a saved run, with the flags' values over it.

    Args:
        values: The parsed flags of `define_config_flags`.
        base: Run directory whose settings a new run starts with, unless `--config`
            names others.

    Returns:
        A `Config` with `workdir` set.

    Raises:
        UserError: if there is no such preset, or a value is wrong.
    """
    overrides = {
        field.name: _parse(field, values[field.name].value)
        for field in dataclasses.fields(Config)
        if values[field.name].value is not None
    }
    # The run may be resumed from another folder.
    data_dir = overrides.get("data_dir")
    if data_dir and "://" not in data_dir:
        overrides["data_dir"] = os.path.abspath(os.path.expanduser(data_dir))

    preset, workdir = values["config"].value, overrides.get("workdir")
    is_saved = (Path(workdir or "") / "config.json").exists()
    # --workdir alone resumes a run, and must not begin one by a mistyped name.
    is_resumed = is_saved or overrides.keys() == {"workdir"}
    dataset = overrides.pop("dataset", None)
    if preset:
        config, name = load_preset(preset), Path(preset).stem
        if dataset not in (None, config.dataset):
            config = _with_data(config, _find_preset(dataset))
            name = f"{Path(preset).stem}_{dataset}".replace("/", "_")
        overrides.setdefault("workdir", f"runs/{name}")
    elif base is not None:
        config = load_config(base)
        if dataset:
            config = _with_data(config, _find_preset(dataset))
        elif data_dir:
            config = dataclasses.replace(config, classes=())
    elif workdir and is_resumed and dataset is None:
        config = load_config(workdir)
    else:
        dataset = dataset or ("folder" if data_dir else "digits")
        config = _find_preset(dataset)
        overrides.setdefault("workdir", f"runs/{dataset.replace('/', '_')}")
    return dataclasses.replace(config, **overrides)


def _with_data(config: Config, data: Config) -> Config:
    """Returns settings with the data set of others, and what belongs to it."""
    fields = ("dataset", "data_dir", "split", "crop_size", "classes")
    return dataclasses.replace(
        config, **{field: getattr(data, field) for field in fields}
    )


def describe_flags(
    config: Config, data_dir: str | None = None, init_from: str | None = None
) -> str:
    """Returns the flags of `train` that give the same settings, by the nearest preset.

    Args:
        config: `Config`.
        data_dir: The value of `--data_dir`, if it is to be given.
        init_from: The value of `--init_from`, likewise; it needs `--workdir` too.
    """
    config = dataclasses.replace(config, evaluation_extractor=format_extractor(config))
    commands: list[list[str]] = []
    presets = {name: load_preset(name) for name in preset_names()}
    data = presets.get(config.dataset, Config(dataset=config.dataset))
    for name, base in presets.items():
        command = [f"--config={name}"]
        if init_from:
            base = dataclasses.replace(base, **OF_TRAINED_NETWORKS)
        if base.dataset != config.dataset:
            base = _with_data(base, data)
            command.append(f"--dataset={config.dataset}")
        command += [
            format_setting(field.name, getattr(config, field.name))
            for field in dataclasses.fields(Config)
            if field.name not in _NOT_IN_COMMANDS
            and getattr(base, field.name) != getattr(config, field.name)
        ]
        commands.append(command)
    shortest = sorted(commands, key=len)[0]
    if data_dir:
        shortest.append(f"--data_dir={data_dir}")
    if init_from:
        shortest.append(f"--init_from={init_from}")
    return shlex.join(shortest)


def format_setting(name: str, value: Any) -> str:
    """Returns the flag that sets a field of `Config` to a value."""
    if isinstance(value, bool):
        return f"--{'no' * (not value)}{name}"
    if isinstance(value, tuple):
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(value)
        value = text.getvalue()
    return f"--{name}={'' if value is None else value}"


def split_location(location: str) -> tuple[str, bool, int | None]:
    """Splits `WORKDIR`, `WORKDIR@best` or `WORKDIR@STEP`.

    Returns:
        The run directory, whether the best checkpoint is meant, and the step or None
        for the last one.
    """
    workdir, at, which = location.rpartition("@")
    if at and which == "best":
        return workdir, True, None
    if at and which.isdecimal():
        return workdir, False, int(which)
    return location, False, None


def format_config_help() -> str:
    """Returns the help of `define_config_flags`' flags, in groups, with defaults."""
    groups: dict[str, list[str]] = {}
    for field in dataclasses.fields(Config):
        text = field.metadata["help"]
        if field.metadata["choices"]:
            text += f" One of {', '.join(field.metadata['choices'])}."
        limits = field.metadata["range"]
        if limits and not (value_type(field)[0] is int and str(limits) == "at least 1"):
            text += f" Must be {limits}."
        if value_type(field)[1]:
            text += " Comma-separated."
        if value_type(field)[2]:
            text += " An empty value unsets it."
        groups.setdefault(field.metadata["group"], []).append(
            format_flag(field.name, text, field.default, value_type(field)[0] is bool)
        )
    return "\n".join(f"{group}\n\n{''.join(lines)}" for group, lines in groups.items())


def format_flag(name: str, text: str, default: Any, is_bool: bool = False) -> str:
    """Returns the help of one flag: its name, its default and its text."""
    if isinstance(default, (tuple, list)):
        default = ",".join(map(str, default)) or None
    if is_bool:
        default = str(default).lower()
    shown = f"  --{'[no]' * is_bool}{name}"
    if default is not None:
        shown += f"  (default: {default})"
    body = textwrap.fill(text, 80, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"{shown}\n{body}\n"


def parse_flags(values: flags.FlagValues, arguments: list[str]) -> None:
    """Parses the flags of a command.

    Raises:
        UserError: if a flag does not exist or its value is invalid.
    """
    try:
        rest = values(["sagan-tf", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(_suggest(values, error.flagname)) from None
    except (flags.Error, ValueError) as error:
        raise UserError(_explain(values, str(error))) from None
    if rest:
        raise UserError(
            f"Unexpected argument {rest[0]!r}. Flags have the form --name=value"
        )
    for name in values:
        value = values[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"--{name} must be finite. Received: {value}")


def _suggest(values: flags.FlagValues, name: str) -> str:
    """Returns that there is no such flag, and which ones may be meant."""
    containing = [flag for flag in values if name in flag]
    close = containing or difflib.get_close_matches(name, list(values), n=3)
    hint = " or ".join(f"--{flag}" for flag in close[:3])
    return f"There is no flag --{name}. " + (
        f"Did you mean {hint}?" if hint else "See --help"
    )


def _explain(values: flags.FlagValues, error: str) -> str:
    # absl says "flag --NAME=VALUE: REASON"; the reason may be that of Python's int().
    found = re.match(r"flag --(\w+)=(.*?): (.*)", error, re.DOTALL)
    if not found:
        return error
    name, value, reason = found.groups()
    if "other than None" in reason:
        return f"--{name} is missing: {values[name].help}"
    choices = getattr(values[name].parser, "enum_values", None)
    if choices:
        return f"--{name} must be one of {', '.join(choices)}. Received: {value}"
    expected = values[name].parser.syntactic_help
    if expected:
        return f"--{name} takes {expected}. Received: {value}"
    return f"--{name}={value}: {reason}"


def _parse(field: dataclasses.Field, value: Any) -> Any:
    """Converts a list of texts to the type of the field's elements."""
    kind, is_tuple, is_optional = value_type(field)
    if not is_tuple:
        return None if is_optional and value == _UNSET else value
    try:
        return tuple(kind(item) for item in value if item.strip())
    except ValueError:
        raise UserError(
            f"--{field.name} takes numbers, such as 16,32. Received: {','.join(value)}"
        ) from None


def _find_preset(name: str) -> Config:
    presets = preset_names()
    if name in presets:
        return load_preset(name)
    start_tensorflow()
    import tensorflow_datasets as tfds

    if name.split("/")[0] in tfds.list_builders(with_community_datasets=False):
        return Config(dataset=name)
    hint = suggest(name, presets + tfds.list_builders())
    raise UserError(
        f"There is no dataset {name!r}. {hint}Presets: {', '.join(presets)}; "
        "any image set of TensorFlow Datasets; or --dataset=folder --data_dir=DIR"
    )
