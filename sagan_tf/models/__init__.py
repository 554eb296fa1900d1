"""The networks, written in `keras.ops` for every Keras backend.

`sagan_tf.models.sagan` trains them; it needs TensorFlow.
"""

from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.infogan import InfoGANDiscriminator, InfoGANGenerator
from sagan_tf.models.network import Discriminator, Generator
from sagan_tf.models.resnet import ResNetDiscriminator, ResNetGenerator

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "Generator",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
]
