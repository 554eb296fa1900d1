"""From a config to networks, optimizers and a compiled model."""

import dataclasses
from typing import Any

import keras

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from sagan_tf.models.resnet import ResNetDiscriminator, ResNetGenerator
from sagan_tf.models.sagan import SAGAN
from sagan_tf.types import Tensor

NETWORKS: dict[str, dict[str, Any]] = {
    "dcgan": {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator},
    "resnet": {"generator": ResNetGenerator, "discriminator": ResNetDiscriminator},
    "infogan": {"generator": InfoGANGenerator, "discriminator": InfoGANDiscriminator},
}


def build_generator(config: Config) -> Any:
    """Returns the generator of a config, not yet built.

    Raises:
        UserError: if the generator cannot have these settings.
    """
    return _build_network("generator", config)


def build_discriminator(config: Config) -> Any:
    """Returns the discriminator of a config, not yet built.

    Raises:
        UserError: if the discriminator cannot have these settings.
    """
    return _build_network("discriminator", config)


def build_sagan(config: Config) -> SAGAN:
    """Returns the compiled `SAGAN` of a config.

    Raises:
        UserError: if the networks or the loss cannot have these settings.
    """
    _check_settings(config)
    generator, discriminator = build_generator(config), build_discriminator(config)
    _check_penalty(config, discriminator)
    try:
        model = SAGAN(
            generator,
            discriminator,
            seed=config.seed,
            latent_distribution=config.latent_distribution,
        )
        model.compile(
            _adam(config, config.generator_learning_rate, updates_per_step=1),
            _adam(
                config, config.discriminator_learning_rate, config.discriminator_steps
            ),
            loss=config.loss,
            discriminator_steps=config.discriminator_steps,
            accumulation_steps=config.accumulation_steps,
            ema_decay=config.ema_decay,
            ema_start_step=config.ema_start_step,
            ema_warm_up=config.ema_warm_up,
            gradient_penalty=config.gradient_penalty,
            gradient_penalty_weight=config.gradient_penalty_weight,
            gradient_penalty_interval=config.gradient_penalty_interval,
            augmentation=config.augmentation,
            jit_compile=config.jit_compile,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    return model


@keras.saving.register_keras_serializable(package="sagan_tf")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant and then decays linearly to 0.

    Args:
        learning_rate: Float, the learning rate until `start`.
        start: Integer, the update after which it decays.
        end: Integer, the update from which it is 0.
    """

    def __init__(self, learning_rate: float, start: int, end: int):
        self.learning_rate = learning_rate
        self.start = start
        self.end = end

    def __call__(self, step: Tensor) -> Tensor:
        done = (keras.ops.cast(step, "float32") - self.start) / (self.end - self.start)
        return self.learning_rate * (1.0 - keras.ops.clip(done, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "start": self.start,
            "end": self.end,
        }


def _build_network(role: str, config: Config) -> Any:
    network_class = NETWORKS[config.architecture][role]
    arguments = {
        name: _value(config, role, name) for name in network_class.argument_names()
    }
    try:
        return network_class(**arguments, dtype=config.precision, name=role)
    except ValueError as error:
        # A refused argument may come from a field of this network alone.
        flags = [
            f"--{role}_{name}"
            for name in arguments
            if hasattr(config, f"{role}_{name}") and f"{name}=" in str(error)
        ]
        hint = f". Set {flags[0]}" if flags else ""
        raise UserError(f"{role.capitalize()}: {error}{hint}") from error


def _value(config: Config, role: str, argument: str) -> Any:
    """Returns the value of a constructor argument.

    It is that of the field named `generator_` or `discriminator_` and the argument, if
    there is one and it is not None, else that of the field with the argument's name.
    """
    own = f"{role}_{argument}"
    if getattr(config, own, None) is not None or not hasattr(config, argument):
        return getattr(config, own)
    return getattr(config, argument)


def _check_settings(config: Config) -> None:
    """Refuses settings that only other networks have, unless False or the default."""
    takers: dict[str, list[str]] = {}
    for architecture, networks in NETWORKS.items():
        for role, network_class in networks.items():
            for argument in network_class.argument_names():
                fields = {"num_classes": ("conditional", "classes")}
                names = (argument, f"{role}_{argument}")
                for name in fields.get(argument, names):
                    takers.setdefault(name, []).append(architecture)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        owners = takers.get(field.name, [config.architecture])
        # On by default, but config.json must not claim it for networks without it.
        claimed = value is True and field.name.endswith("_spectral_normalization")
        if config.architecture in owners or (
            (value is False or value == field.default) and not claimed
        ):
            continue
        hint = f". Add --no{field.name}" if claimed else ""
        raise UserError(
            f"The {config.architecture} networks have no --{field.name}, only "
            f"--architecture={' or '.join(dict.fromkeys(owners))} has. "
            f"Received: {field.name}={value}{hint}"
        )
    if config.conditional and len(config.classes) < 2:
        raise UserError(
            "Conditional networks need two classes or more. "
            f"Received: classes={config.classes}"
        )


def _check_penalty(config: Config, discriminator: Any) -> None:
    if (
        config.gradient_penalty
        and getattr(discriminator, "spectral_normalization", False)
        and not config.penalty_with_spectral_normalization
    ):
        raise UserError(
            f"--gradient_penalty={config.gradient_penalty} and spectral normalization "
            "each bound the discriminator's gradient. Leave one of them out "
            "(--nodiscriminator_spectral_normalization), or ask for both with "
            "--penalty_with_spectral_normalization"
        )


def _adam(config: Config, learning_rate: Any, updates_per_step: int) -> Any:
    if config.decay_start_step is not None and config.decay_end_step is not None:
        learning_rate = LinearDecay(
            learning_rate,
            config.decay_start_step * updates_per_step,
            config.decay_end_step * updates_per_step,
        )
    return keras.optimizers.Adam(
        learning_rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.adam_epsilon,
    )
