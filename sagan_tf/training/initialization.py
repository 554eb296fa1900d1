"""Starts a new run from the networks of another one (`--init_from`)."""

from typing import Any

from absl import logging

from sagan_tf.errors import UserError
from sagan_tf.flags import split_location
from sagan_tf.models.sagan import SAGAN
from sagan_tf.run import load_run


def initialize(model: SAGAN, location: str, partially: bool = False) -> None:
    """Copies the weights and the optimizers' state of another run's checkpoint.

    A variable is copied to the one of the same name and shape. An optimizer's moments
    belong to its network's weights: they are copied if all of these fit and the
    learning rate is constant, as a decay counts the optimizer's own updates.

    Args:
        model: Compiled `SAGAN` at step 0.
        location: `WORKDIR`, `WORKDIR@best` or `WORKDIR@STEP`.
        partially: Boolean, whether variables that do not fit may keep their initial
            values.

    Raises:
        UserError: if there is no such checkpoint, or not all variables fit.
    """
    workdir, best, step = split_location(location)
    source = load_run(workdir, best, step).model
    unfit: list[str] = []
    for name in ("generator", "discriminator", "ema_generator"):
        unfit += _copy(getattr(source, name).variables, getattr(model, name).variables)
    unfit = list(dict.fromkeys(unfit))  # both generators have the same names
    if unfit and not partially:
        raise UserError(
            f"{len(unfit)} variables of the networks do not fit those of {location}: "
            f"{', '.join(unfit[:10])}{' and others' * (len(unfit) > 10)}. To start "
            "these from their initial values and all others from that run, add "
            "--init_partially"
        )
    if unfit:
        logging.warning(
            "%d variables start from their initial values: %s",
            len(unfit),
            ", ".join(unfit),
        )
    _copy_optimizers(source, model)


def _copy(sources: list[Any], targets: list[Any]) -> list[str]:
    """Copies what fits; returns a description of each target that nothing fits."""
    by_name = {_name(variable): variable for variable in sources}
    unfit = []
    for target in targets:
        source = by_name.get(_name(target))
        if source is None:
            unfit.append(f"{_name(target)} is new")
        elif source.shape != target.shape:
            unfit.append(
                f"{_name(target)} {list(source.shape)} -> {list(target.shape)}"
            )
        else:
            target.assign(source.value)
    return unfit


def _copy_optimizers(source: SAGAN, model: SAGAN) -> None:
    for role in ("generator", "discriminator"):
        optimizers = [getattr(m, f"{role}_optimizer") for m in (source, model)]
        # Without its loss scale, which finds its value again.
        optimizers = [getattr(o, "inner_optimizer", o) for o in optimizers]
        former, now = map(_state, optimizers)
        weights = [
            [(_name(v), v.shape) for v in getattr(m, role).trainable_variables]
            for m in (source, model)
        ]
        has_decay = len(now) == len(optimizers[1].variables)
        if weights[0] == weights[1] and not has_decay:
            for old, new in zip(former, now, strict=True):
                new.assign(old.value)


def _state(optimizer: Any) -> list[Any]:
    """Returns an optimizer's variables but the learning rate.

    With a decay there is no such variable.
    """
    return [v for v in optimizer.variables if not v.path.endswith("/learning_rate")]


def _name(variable: Any) -> str:
    """Returns a variable's name without that of its network."""
    return variable.path.partition("/")[-1]
