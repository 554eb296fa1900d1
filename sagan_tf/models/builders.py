"""The one place where a name in a config becomes a network."""

import keras

from sagan_tf.errors import UserError
from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from sagan_tf.models.sagan import SAGAN


def build_generator(config):
    """The generator of a `Config`, not yet built.

    Raises:
        ValueError: if the architecture is unknown, or cannot have a setting.
    """
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
        _check_no_spectral_normalization(config, "generator")
        return InfoGANGenerator(**settings)
    _check_is_dcgan(config)
    return DCGANGenerator(
        **settings,
        spectral_normalization=config.generator_spectral_normalization,
        spectral_norm_axis=config.spectral_norm_axis,
    )


def build_discriminator(config):
    """The discriminator of a `Config`, not yet built.

    Raises:
        ValueError: if the architecture is unknown, or cannot have a setting.
    """
    settings = {
        "image_size": config.image_size,
        "channels": config.channels,
        "width": config.discriminator_width or config.width,
        "attention_resolutions": config.discriminator_attention_resolutions,
        "dtype": config.precision,
        "name": "discriminator",
    }
    if config.architecture == "infogan":
        _check_no_spectral_normalization(config, "discriminator")
        return InfoGANDiscriminator(**settings)
    _check_is_dcgan(config)
    return DCGANDiscriminator(
        **settings, spectral_normalization=config.discriminator_spectral_normalization
    )


def build_sagan(config):
    """The compiled `SAGAN` of a `Config`.

    Raises:
        UserError: if the config asks for something the networks or the loss
            cannot have.
    """

    def adam(learning_rate):
        return keras.optimizers.Adam(
            learning_rate,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.adam_epsilon,
        )

    try:
        model = SAGAN(
            build_generator(config),
            build_discriminator(config),
            seed=config.seed,
            latent_distribution=config.latent_distribution,
        )
        model.compile(
            adam(config.generator_learning_rate),
            adam(config.discriminator_learning_rate),
            loss=config.loss,
            discriminator_steps=config.discriminator_steps,
            ema_decay=config.ema_decay,
            jit_compile=config.jit_compile,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    return model


def _check_is_dcgan(config):
    if config.architecture != "dcgan":
        raise ValueError(
            '`architecture` must be "dcgan" or "infogan". '
            f"Received: architecture={config.architecture}"
        )


def _check_no_spectral_normalization(config, network):
    if getattr(config, f"{network}_spectral_normalization"):
        raise ValueError(
            "The infogan networks have no spectral normalization: "
            f"--no{network}_spectral_normalization"
        )
