"""What a person has who installed the wheel, without a clone."""

import os
import subprocess
import sys
import time

import pytest

from tests.processes import REPOSITORY

COMMANDS = [
    "sagan-tf sample --pretrained=faces64 --output=faces.png",
    "sagan-tf train --dataset=digits --steps=50",
    "sagan-tf doctor --workdir=runs/digits",
    "sagan-tf export --workdir=runs/digits --format=onnx,litert,serving,hub",
]
WRITTEN = [
    "faces.png",
    "runs/digits/export/saved_model/saved_model.pb",
    "runs/digits/export/onnx/generator.onnx",
    "runs/digits/export/litert/generator_int8.tflite",
    "runs/digits/export/serving/models.config",
    "runs/digits/export/hub/networks.npz",
]


@pytest.mark.exhaustive  # it downloads TensorFlow
def test_the_wheel_works_in_an_empty_environment(tmp_path):
    def run(*command):
        outcome = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    folder, programs = tmp_path / "empty", tmp_path / "venv" / "bin"
    folder.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "SAGAN_TF_CACHE")
    }
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    run(sys.executable, "-m", "venv", str(programs.parent))
    pip = str(programs / "pip")
    run(pip, "wheel", "--no-deps", "-w", str(tmp_path), str(REPOSITORY))
    (wheel,) = tmp_path.glob("*.whl")
    run(pip, "install", f"{wheel}[export]")
    for command in COMMANDS:
        start = time.monotonic()
        run(*command.split())
        print(f"{time.monotonic() - start:.0f} s: {command}")
    assert all((folder / name).exists() for name in WRITTEN)
