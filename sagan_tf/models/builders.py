"""The one place where a name in a config becomes a network."""

import dataclasses

import keras

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from sagan_tf.models.resnet import ResNetDiscriminator, ResNetGenerator
from sagan_tf.models.sagan import SAGAN

# Settings that only some networks have. Asking another for one is a mistake.
_SETTINGS = {
    "dcgan": ("spectral_norm_axis",),
    "resnet": (
        *("conditional", "classes", "spectral_norm_epsilon", "attention"),
        *("initializer", "reflection_padding", "discriminator_slope"),
        *("normalize_to_image", "batch_norm_momentum", "last_batch_norm_momentum"),
        *("batch_norm_epsilon", "synchronized_batch_norm"),
        "conditional_spectral_normalization",
    ),
    "infogan": (),
}


def build_generator(config):
    """The generator of a `Config`, not yet built.

    Raises:
        ValueError: if the architecture is unknown, or cannot have a setting.
    """
    _check_settings(config)
    settings = {
        "image_size": config.image_size,
        "channels": config.channels,
        "width": config.width,
        "latent_dim": config.latent_dim,
        "attention_resolutions": config.generator_attention_resolutions,
        "dtype": config.precision,
        "name": "generator",
    }
    if config.architecture == "infogan":
        return InfoGANGenerator(**settings)
    settings["spectral_normalization"] = config.generator_spectral_normalization
    if config.architecture == "dcgan":
        return DCGANGenerator(**settings, spectral_norm_axis=config.spectral_norm_axis)
    normalization = {
        "momentum": config.batch_norm_momentum,
        "epsilon": config.batch_norm_epsilon,
        "synchronized": config.synchronized_batch_norm,
        "spectral_normalization": config.conditional_spectral_normalization,
    }
    return ResNetGenerator(
        **settings,
        **_resnet_settings(config),
        normalize_last=config.normalize_to_image,
        normalization=normalization,
        last_momentum=config.last_batch_norm_momentum,
    )


def build_discriminator(config):
    """The discriminator of a `Config`, not yet built.

    Raises:
        ValueError: if the architecture is unknown, or cannot have a setting.
    """
    _check_settings(config)
    settings = {
        "image_size": config.image_size,
        "channels": config.channels,
        "width": config.discriminator_width or config.width,
        "attention_resolutions": config.discriminator_attention_resolutions,
        "dtype": config.precision,
        "name": "discriminator",
    }
    if config.architecture == "infogan":
        return InfoGANDiscriminator(**settings)
    settings["spectral_normalization"] = config.discriminator_spectral_normalization
    if config.architecture == "dcgan":
        return DCGANDiscriminator(**settings)
    return ResNetDiscriminator(
        **settings,
        **_resnet_settings(config),
        negative_slope=config.discriminator_slope,
    )


def build_sagan(config):
    """The compiled `SAGAN` of a `Config`.

    Raises:
        UserError: if the config asks for something the networks or the loss
            cannot have.
    """

    def adam(learning_rate, updates_a_step):
        if config.decay_start_step is not None:
            learning_rate = LinearDecay(
                learning_rate,
                config.decay_start_step * updates_a_step,
                config.decay_end_step * updates_a_step,
            )
        return keras.optimizers.Adam(
            learning_rate,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.adam_epsilon,
        )

    networks = []
    for name, build in (
        ("generator", build_generator),
        ("discriminator", build_discriminator),
    ):
        try:
            networks.append(build(config))
        except ValueError as error:
            # By its flag's name, so that it is known which of the two to change.
            flag = f"--{name}_attention_resolutions"
            message = str(error).replace("attention_resolutions", flag)
            raise UserError(message) from error
    try:
        _check_penalty(config)
        model = SAGAN(
            *networks,
            seed=config.seed,
            latent_distribution=config.latent_distribution,
        )
        model.compile(
            adam(config.generator_learning_rate, 1),
            adam(config.discriminator_learning_rate, config.discriminator_steps),
            loss=config.loss,
            discriminator_steps=config.discriminator_steps,
            accumulation_steps=config.accumulation_steps,
            ema_decay=config.ema_decay,
            ema_start_step=config.ema_start_step,
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
    """A rate that stays as it is, and then falls linearly to 0.

    Args:
        learning_rate: Float, the rate until `start`.
        start: Integer, the update after which it falls.
        end: Integer, the update at which it is 0, and stays 0.
    """

    def __init__(self, learning_rate, start, end):
        self.learning_rate = learning_rate
        self.start = start
        self.end = end

    def __call__(self, step):
        done = (keras.ops.cast(step, "float32") - self.start) / (self.end - self.start)
        return self.learning_rate * (1.0 - keras.ops.clip(done, 0.0, 1.0))

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "start": self.start,
            "end": self.end,
        }


def _resnet_settings(config):
    return {
        "num_classes": config.num_classes,
        "attention": config.attention,
        "spectral_norm_epsilon": config.spectral_norm_epsilon,
        "reflection_padding": config.reflection_padding,
        "initializer": config.initializer,
    }


def _check_settings(config):
    if config.architecture not in _SETTINGS:
        raise ValueError(
            f"`architecture` must be one of {', '.join(_SETTINGS)}. "
            f"Received: architecture={config.architecture}"
        )
    others = {name for names in _SETTINGS.values() for name in names}
    others -= set(_SETTINGS[config.architecture])
    if config.architecture == "infogan":
        for network in ("generator", "discriminator"):
            if getattr(config, f"{network}_spectral_normalization"):
                raise ValueError(
                    "The infogan networks have no spectral normalization: "
                    f"--no{network}_spectral_normalization"
                )
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if field.name in others and value != field.default:
            owners = [own for own, names in _SETTINGS.items() if field.name in names]
            raise ValueError(
                f"The {config.architecture} networks have no `{field.name}`, only "
                f"--architecture={' or '.join(owners)} has. "
                f"Received: {field.name}={value}"
            )
    if config.conditional and len(config.classes) < 2:
        raise ValueError(
            "Conditional networks need two classes or more. "
            f"Received: classes={config.classes}"
        )


def _check_penalty(config):
    if (
        config.gradient_penalty
        and config.discriminator_spectral_normalization
        and not config.penalty_with_spectral_normalization
    ):
        raise ValueError(
            f"--gradient_penalty={config.gradient_penalty} and spectral normalization "
            "each bound the discriminator's gradient. Leave one of them out "
            "(--nodiscriminator_spectral_normalization), or ask for both by "
            "--penalty_with_spectral_normalization"
        )
