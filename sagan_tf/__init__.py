"""Self-Attention GAN for TensorFlow and Keras.

The public names are imported when they are first used: the layers and networks need
Keras alone, whatever its backend; all else needs TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from sagan_tf.start_tensorflow import check_backend

__version__ = "0.2.0"

if TYPE_CHECKING:
    from sagan_tf.config import Config as Config
    from sagan_tf.config import load_preset as load_preset
    from sagan_tf.errors import UserError as UserError
    from sagan_tf.layers import (
        ConditionalBatchNormalization as ConditionalBatchNormalization,
    )
    from sagan_tf.layers import DiscriminatorBlock as DiscriminatorBlock
    from sagan_tf.layers import GeneratorBlock as GeneratorBlock
    from sagan_tf.layers import SelfAttention as SelfAttention
    from sagan_tf.layers import SpectralNormalization as SpectralNormalization
    from sagan_tf.model_files import load_pretrained as load_pretrained
    from sagan_tf.models import DCGANDiscriminator as DCGANDiscriminator
    from sagan_tf.models import DCGANGenerator as DCGANGenerator
    from sagan_tf.models import InfoGANDiscriminator as InfoGANDiscriminator
    from sagan_tf.models import InfoGANGenerator as InfoGANGenerator
    from sagan_tf.models import ResNetDiscriminator as ResNetDiscriminator
    from sagan_tf.models import ResNetGenerator as ResNetGenerator
    from sagan_tf.models.sagan import SAGAN as SAGAN
    from sagan_tf.run import Run as Run
    from sagan_tf.run import load_run as load_run
    from sagan_tf.sampling import Sampler as Sampler
    from sagan_tf.training.train import train as train

_MODULES = {
    "SAGAN": "models.sagan",
    "ConditionalBatchNormalization": "layers",
    "Config": "config",
    "DCGANDiscriminator": "models",
    "DCGANGenerator": "models",
    "DiscriminatorBlock": "layers",
    "GeneratorBlock": "layers",
    "InfoGANDiscriminator": "models",
    "InfoGANGenerator": "models",
    "ResNetDiscriminator": "models",
    "ResNetGenerator": "models",
    "Run": "run",
    "Sampler": "sampling",
    "SelfAttention": "layers",
    "SpectralNormalization": "layers",
    "UserError": "errors",
    "load_preset": "config",
    "load_pretrained": "model_files",
    "load_run": "run",
    "train": "training.train",
}
__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in ("layers", "models"):
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _MODULES[name] not in ("config", "errors", "layers", "models"):
        check_backend()
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
