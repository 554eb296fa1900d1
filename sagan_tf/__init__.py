"""Self-Attention GAN for TensorFlow and Keras."""

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.layers import (
    ConditionalBatchNormalization,
    DiscriminatorBlock,
    GeneratorBlock,
    SelfAttention,
    SpectralNormalization,
)
from sagan_tf.models import (
    SAGAN,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from sagan_tf.training import load_run, run

__all__ = [
    "SAGAN",
    "ConditionalBatchNormalization",
    "Config",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscriminatorBlock",
    "GeneratorBlock",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "SelfAttention",
    "SpectralNormalization",
    "UserError",
    "load_run",
    "run",
]
