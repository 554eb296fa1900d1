"""Self-Attention GAN for TensorFlow and Keras."""

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.models import (
    SAGAN,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
)
from sagan_tf.training import load_run, run

__all__ = [
    "SAGAN",
    "Config",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "SelfAttention",
    "SpectralNormalization",
    "UserError",
    "load_run",
    "run",
]
