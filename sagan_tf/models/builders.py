"""The one place where a name in a config becomes a network."""

import keras

from sagan_tf.errors import UserError
from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.sagan import SAGAN


def build_generator(config):
    """The generator of a `Config`, not yet built."""
    return DCGANGenerator(
        image_size=config.image_size,
        channels=config.channels,
        width=config.width,
        latent_dim=config.latent_dim,
        attention_resolutions=config.generator_attention_resolutions,
        spectral_normalization=config.generator_spectral_normalization,
        spectral_norm_axis=config.spectral_norm_axis,
        dtype=config.precision,
        name="generator",
    )


def build_discriminator(config):
    """The discriminator of a `Config`, not yet built."""
    return DCGANDiscriminator(
        image_size=config.image_size,
        channels=config.channels,
        width=config.discriminator_width or config.width,
        attention_resolutions=config.discriminator_attention_resolutions,
        spectral_normalization=config.discriminator_spectral_normalization,
        dtype=config.precision,
        name="discriminator",
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
            build_generator(config), build_discriminator(config), seed=config.seed
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
