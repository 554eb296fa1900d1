"""The networks, and the model that trains them."""

from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from sagan_tf.models.resnet import ResNetDiscriminator, ResNetGenerator
from sagan_tf.models.sagan import SAGAN

__all__ = [
    "SAGAN",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
]
