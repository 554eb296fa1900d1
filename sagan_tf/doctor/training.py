"""A short training with export and reload."""

import shlex
import tempfile
import time
from collections.abc import Iterator

from sagan_tf.config import Config
from sagan_tf.doctor.findings import Check, Finding


def list_checks() -> list[Check]:
    """Returns the check that trains."""
    remedy = (
        "To see the whole error: python -m sagan_tf train --dataset=digits --steps=3 "
        f"--workdir={shlex.quote(tempfile.gettempdir())}/doctor"
    )
    return [Check("training", check_training, remedy)]


def check_training() -> Iterator[Finding]:
    """Trains tiny networks for three steps and compares their export with the run."""
    import numpy as np
    import tensorflow as tf

    from sagan_tf.run import load_run
    from sagan_tf.training.train import train

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sagan_tf-") as folder:
        devices = max(1, len(tf.config.list_physical_devices("GPU")))
        config = Config(
            image_size=32,
            channels=1,
            width=8,
            batch_size=8 * devices,
            steps=3,
            log_interval=1,
            sample_interval=3,
            checkpoint_interval=3,
            num_samples=4,
            strategy="mirrored" if devices > 1 else "none",
            workdir=folder,
        )
        train(config)
        expected = load_run(folder).generate(4, seed=1)
        served = tf.saved_model.load(str(config.run_dir / "export" / "saved_model"))
        images = served.signatures["sample"](
            num_images=tf.constant(4),
            seed=tf.constant(1),
            truncation=tf.constant(1.0),
        )["images"].numpy()
    # Other batch sizes can round otherwise, by one of 256 gray levels.
    difference = np.abs(images.astype(int) - expected.astype(int)).max()
    if difference > 1:
        yield Finding(
            "training",
            "failure",
            f"the exported generator's images differ from the run's by {difference} of "
            "256 gray levels",
            "Sample with python -m sagan_tf sample, not with the SavedModel",
        )
        return
    seconds = time.monotonic() - start
    found = f"3 steps, export and reload agree, {seconds:.0f} s"
    yield Finding("training", "ok", found)
