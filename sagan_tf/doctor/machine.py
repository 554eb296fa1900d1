"""Checks of the machine."""

import contextlib
import functools
import io
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sagan_tf.doctor.environment import requirements
from sagan_tf.doctor.findings import Check, Finding
from sagan_tf.text import count

_LEAST_GIB = 4  # of memory and of disk; with less there is a warning


def list_checks(workdir: str | None) -> list[Check]:
    """Returns the checks of the machine; of the disk of the run directory too."""
    disk = functools.partial(check_disk, Path(workdir or "."))
    other_disk = "Give a folder on another disk: --workdir=DIR"
    return [
        Check("devices", check_devices, "Look at the GPU's driver: nvidia-smi"),
        Check("bfloat16", check_bfloat16, "Train with --precision=float32"),
        Check("XLA", check_xla, "Train with --nojit_compile"),
        Check("memory", check_memory, "python -m pip install psutil", False),
        Check("disk", disk, other_disk, False),
        Check("Inception", check_inception, "Evaluate with --extractor=classifier"),
    ]


def check_devices() -> Iterator[Finding]:
    """Names the devices that training runs on."""
    import tensorflow as tf

    from sagan_tf.training.distribution import describe_devices

    found = f"{describe_devices()}; {count(os.cpu_count() or 1, 'CPU core')}"
    has_driver = Path("/proc/driver/nvidia/gpus").is_dir()
    if tf.config.list_physical_devices("GPU"):
        yield Finding("devices", "ok", found)
    elif has_driver and "CUDA_VISIBLE_DEVICES" not in os.environ:
        cuda = f"tensorflow[and-cuda]{requirements()['tensorflow'].specifier}"
        yield Finding(
            "devices",
            "failure",
            f"{found}. There is an NVIDIA GPU, but TensorFlow does not see it",
            f"python -m pip install {shlex.quote(cuda)}",
        )
    else:
        yield Finding(
            "devices",
            "warning",
            f"{found}. Training on a CPU is for small images",
            "Start with python -m sagan_tf train --dataset=digits; with pictures: "
            "python -m sagan_tf train --config=faces64 --dataset=folder --data_dir=DIR",
        )


def check_bfloat16() -> Iterator[Finding]:
    """Compares a product of matrices in bfloat16 with that of NumPy in float32."""
    import tensorflow as tf

    def multiply(a: Any, b: Any) -> Any:
        product = tf.matmul(tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16))
        return tf.tanh(tf.cast(product, tf.float32) / 8.0)

    # bfloat16 has 8 bits: each factor and the product is off by up to 2^-9.
    yield _compare("bfloat16", multiply, 0.02, "Train with --precision=float32")


def check_xla() -> Iterator[Finding]:
    """Compares a product of matrices that XLA compiled with that of NumPy."""
    import tensorflow as tf

    def multiply(a: Any, b: Any) -> Any:
        return tf.tanh(tf.matmul(a, b) / 8.0)  # on a GPU tanh needs CUDA's libdevice

    # GPUs multiply float32 in TF32, which has 11 bits.
    yield _compare(
        "XLA",
        tf.function(multiply, jit_compile=True),
        0.01,
        "Train with --nojit_compile",
    )


def check_memory() -> Iterator[Finding]:
    """Checks how much memory is available."""
    import psutil

    memory = psutil.virtual_memory()
    remedy = "End other programs, or train with a smaller --batch_size"
    yield _measure("memory", memory.available, memory.total, "", remedy)


def check_disk(folder: Path) -> Iterator[Finding]:
    """Checks that a folder, which may not exist yet, can be written and has room."""
    remedy = "Give a folder on another disk: --workdir=DIR"
    folder = folder.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield Finding("disk", "failure", f"{folder} cannot be written", remedy)
        return
    usage = shutil.disk_usage(folder)
    yield _measure("disk", usage.free, usage.total, f" at {folder}", remedy)


def check_inception() -> Iterator[Finding]:
    """Says which extractor `evaluate` would choose; nothing is downloaded."""
    from sagan_tf.evaluation.extractors import choose_extractor

    with contextlib.redirect_stdout(io.StringIO()) as said:
        choice = choose_extractor("auto", download=False)
    found = f"evaluate uses {said.getvalue().strip().removeprefix('Extractor: ')}"
    if choice == "inception":
        yield Finding("Inception", "ok", found)
        return
    yield Finding(
        "Inception",
        "warning",
        found,
        "FID needs it: connect to the network once, or give its SavedModel: python -m "
        "sagan_tf evaluate --workdir=runs/digits --extractor=inception:DIR",
    )


def _compare(name: str, multiply: Any, bound: float, remedy: str) -> Finding:
    import numpy as np

    a, b = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    error = np.abs(multiply(a, b).numpy() - np.tanh(a @ b / 8)).max()
    found = f"differs from NumPy's float32 by {error:.2g}"
    if error <= bound:  # false for NaN
        return Finding(name, "ok", f"{found}; up to {bound:g} is right")
    return Finding(name, "failure", f"{found}, more than {bound:g}", remedy)


def _measure(name: str, free: int, total: int, where: str, remedy: str) -> Finding:
    found = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free{where}"
    if free >= _LEAST_GIB * 2**30:
        return Finding(name, "ok", found)
    return Finding(name, "warning", found, remedy)
