from pathlib import Path

import keras

from sagan_tf.export.inference import (
    check_equal,
    ensure_float32,
    make_functions,
    make_inputs,
    replacing_export,
)
from sagan_tf.sampling import Sampler


def export_keras(sampler: Sampler, path: str | Path) -> Path:
    """Writes a generator as `generator.keras`, which `keras.saving.load_model` reads.

    Its layers are this package's: `import sagan_tf.models` before loading it. Any
    backend of Keras will do. It computes in float32. An earlier export at `path` is
    replaced.

    Args:
        sampler: `Sampler` of the generator.
        path: Folder to write.

    Returns:
        The path.

    Raises:
        UserError: if it cannot be written, or gives other images. An earlier export
            stays as it is then.
    """
    generator = ensure_float32(sampler).generator
    with replacing_export(path, "generator.keras") as partial:
        generator.save(partial / "generator.keras")
        loaded = keras.saving.load_model(partial / "generator.keras", compile=False)
        inputs = make_inputs(sampler).values()
        outputs, expected = (
            make_functions(network)["generator"](*inputs)
            for network in (loaded, generator)
        )
        check_equal("generator.keras", outputs, expected)
    return Path(path)
