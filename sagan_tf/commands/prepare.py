"""Prepares a data set in the cache: decodes its images once."""

from absl import flags

from sagan_tf.commands.run_flags import definers
from sagan_tf.errors import UserError
from sagan_tf.flags import config_from_flags, define_config_flags
from sagan_tf.start_tensorflow import start_tensorflow


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define.bool("list", False, "List the prepared data in the cache, and stop.")
    define.list("delete", None, "Delete these prepared data, as listed, and stop.")
    define_config_flags(values)


def run(values: flags.FlagValues) -> None:
    """Runs the command.

    Raises:
        UserError: if `--list` and `--delete` are given together.
    """
    if values.list and values.delete:
        raise UserError("Give --list or --delete, not both")
    if values.list:
        _list()
    elif values.delete:
        _delete(values.delete)
    else:
        _prepare(values)


def _list() -> None:
    start_tensorflow()
    from sagan_tf.data.prepared import list_prepared

    entries = list_prepared()
    for entry in entries:
        print(f"{entry.name}  {entry.size / 2**20:,.1f} MiB  {entry.description}")
    if not entries:
        print("There are no prepared data")


def _delete(names: list[str]) -> None:
    start_tensorflow()
    from sagan_tf.data.prepared import delete_prepared

    for name in names:
        delete_prepared(name)
        print(f"Deleted {name}")


def _prepare(values: flags.FlagValues) -> None:
    config = config_from_flags(values)
    start_tensorflow()
    from sagan_tf.data import load_data, with_classes

    data = load_data(with_classes(config))
    print(data.summary())
    print(f"Prepared: {data.path}")
