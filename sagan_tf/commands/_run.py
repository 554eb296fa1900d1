"""What the commands that look at a run share."""

import difflib
import itertools

from absl import flags

from sagan_tf.errors import UserError

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
BEST = flags.DEFINE_bool(
    "best", False, "Take the checkpoint of the best figure instead of the last one."
)


def open_run():
    """Loads the run that the flags name; see `sagan_tf.load_run`."""
    from sagan_tf.training import load_run

    return load_run(WORKDIR.value, best=BEST.value)


def parse_labels(values, config, count=None):
    """Labels from what the user wrote: numbers, or the names of classes.

    Args:
        values: List of texts, or None.
        config: The run's `Config`.
        count: Integer; the labels are repeated, or cut off, to be so many. By default
            they are as many as the values.

    Returns:
        A list of integers; None for None.

    Raises:
        UserError: if there is no such class, or there are no classes.
    """
    if values is None:
        return None
    if not config.num_classes:
        raise UserError(
            f"The run in {config.workdir} has no classes: leave out --labels"
        )
    labels = [_parse_label(value, config) for value in values]
    if not labels:
        raise UserError("--labels is empty: give numbers or names of classes")
    return list(itertools.islice(itertools.cycle(labels), count or len(labels)))


def _parse_label(value, config):
    if value in config.classes:
        return config.classes.index(value)
    if value.isdecimal() and int(value) < config.num_classes:
        return int(value)
    numbers = f"0 to {config.num_classes - 1}"
    message = f"The run in {config.workdir} has no class {value!r}. It has {numbers}"
    if list(config.classes) != [str(label) for label in range(config.num_classes)]:
        more = ", ..." if config.num_classes > 10 else ""
        message += f": {', '.join(config.classes[:10])}{more}"
        close = difflib.get_close_matches(value, config.classes, n=1)
        message += f". Did you mean {close[0]}?" if close else ""
    raise UserError(message)
