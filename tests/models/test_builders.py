import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.layers import (
    ConditionalBatchNormalization,
    ReflectionConv2D,
    SelfAttention,
    SpectralNormalization,
)
from sagan_tf.losses import LOSSES
from sagan_tf.models.builders import build_sagan


def test_every_setting_reaches_the_networks_and_their_training():
    """Each setting differs from its default and is found where it acts."""
    model = build_sagan(
        Config(
            image_size=32,
            channels=1,
            architecture="resnet",
            conditional=True,
            classes=("cat", "dog", "owl"),
            width=2,
            discriminator_width=16,
            latent_dim=7,
            latent_distribution="uniform",
            generator_attention_resolutions=(8,),
            discriminator_attention_resolutions=(16,),
            spectral_norm_epsilon=1e-3,
            attention="full",
            initializer="normal",
            reflection_padding=True,
            discriminator_slope=0.3,
            normalize_to_image=False,
            batch_norm_momentum=0.7,
            last_batch_norm_momentum=0.6,
            batch_norm_epsilon=1e-2,
            synchronized_batch_norm=True,
            conditional_spectral_normalization=True,
            augmentation=("cutout",),
            batch_size=6,
            accumulation_steps=3,
            loss="lsgan",
            discriminator_steps=2,
            gradient_penalty="dragan",
            gradient_penalty_weight=5.0,
            gradient_penalty_interval=4,
            penalty_with_spectral_normalization=True,
            generator_learning_rate=0.1,
            discriminator_learning_rate=0.2,
            beta_1=0.3,
            beta_2=0.4,
            adam_epsilon=0.5,
            ema_decay=0.6,
            ema_start_step=7,
            seed=8,
        )
    )
    generator, discriminator = model.generator, model.discriminator
    for network in (generator, discriminator):
        assert (network.num_classes, network.image_size) == (3, 32)
        assert network.attention == "full" and network.initializer == "normal"
        layers = list(network._flatten_layers())
        for layer in layers:
            if isinstance(layer, SpectralNormalization):
                assert layer.epsilon == 1e-3, layer.path
            if isinstance(layer, SelfAttention):
                assert layer.pool_size == 1
        assert any(isinstance(layer, ReflectionConv2D) for layer in layers)
    assert (generator.latent_dim, generator.width, discriminator.width) == (7, 2, 16)
    assert generator.attention_resolutions == (8,)
    assert discriminator.attention_resolutions == (16,)
    assert discriminator.slope == 0.3
    assert not isinstance(generator.to_image, SpectralNormalization)
    conditional = [
        layer
        for layer in generator._flatten_layers()
        if isinstance(layer, ConditionalBatchNormalization)
    ]
    assert len(conditional) == 6
    for layer in conditional:
        assert layer.spectral_normalization and layer.synchronized
        assert (layer.momentum, layer.epsilon) == (0.7, 1e-2)
    last = generator.get_layer("last_normalization")
    assert (last.momentum, last.epsilon, last.synchronized) == (0.6, 1e-2, True)
    for optimizer, learning_rate in (
        (model.generator_optimizer, 0.1),
        (model.discriminator_optimizer, 0.2),
    ):
        assert float(optimizer.learning_rate) == pytest.approx(learning_rate)
        adam = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon
        assert adam == (0.3, 0.4, 0.5)
    assert model.adversarial_loss == LOSSES["lsgan"]
    assert (model.latent_distribution, model.seed) == ("uniform", 8)
    assert (model.discriminator_steps, model.accumulation_steps) == (2, 3)
    assert (model.ema_decay, model.ema_start_step) == (0.6, 7)
    assert model.gradient_penalty == "dragan" and model.augmentation == ("cutout",)
    assert (model.gradient_penalty_weight, model.gradient_penalty_interval) == (5, 4)


def test_a_gradient_penalty_with_spectral_normalization_must_be_requested():
    with pytest.raises(UserError, match="--penalty_with_spectral_normalization"):
        build_sagan(Config(gradient_penalty="gp"))
    for settings in (
        {"penalty_with_spectral_normalization": True},
        {"discriminator_spectral_normalization": False},
    ):
        build_sagan(Config(gradient_penalty="gp", width=8, **settings))


def test_learning_rates_decay_linearly():
    config = Config(
        width=8, discriminator_steps=2, decay_start_step=100, decay_end_step=300
    )
    model = build_sagan(config)
    for optimizer, learning_rate, updates in (
        (model.generator_optimizer, 1e-4, 1),
        (model.discriminator_optimizer, 4e-4, 2),
    ):
        for step, expected in ((0, 1), (100, 1), (200, 0.5), (300, 0), (400, 0)):
            optimizer.iterations.assign(step * updates)
            assert float(optimizer.learning_rate) == pytest.approx(
                learning_rate * expected
            )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"attention": "full"},
            "The dcgan networks have no --attention, only --architecture=resnet has",
        ),
        (
            {"architecture": "infogan", "conditional": True, "classes": ("a", "b")},
            "no --conditional, only --architecture=dcgan or resnet has",
        ),
        (
            {"architecture": "infogan", "image_size": 28},
            "no --generator_spectral.*Add --nogenerator_spectral_normalization",
        ),
        (
            {"architecture": "resnet", "spectral_norm_axis": "input"},
            "no --spectral_norm_axis",
        ),
        (
            {"discriminator_attention_resolutions": (5,)},
            "Discriminator: .*can be at .*Set --discriminator_attention_resolutions",
        ),
        ({"architecture": "resnet", "conditional": True}, "two classes or more"),
        ({"image_size": 48}, "32, 64, 128, 256. Received: image_size=48"),
        ({"width": 4}, "needs at least that many channels"),
    ],
)
def test_settings_that_networks_cannot_have_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        build_sagan(Config(**settings))
