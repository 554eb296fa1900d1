"""What a computation ran on: the processor and the versions of the libraries."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import psutil

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_LIBRARIES = ("tensorflow", "keras", "numpy")


def describe_machine() -> dict[str, Any]:
    """Returns the processor, its number types, the memory and the versions.

    GPUs are not in it: only TensorFlow knows them.
    """
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    facts = dict(re.findall(r"^([^\t\n]+)\t+: (.*)$", text, re.MULTILINE))
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        **{name: _find_version(name) for name in _LIBRARIES},
    }


def _find_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
