"""Commands in processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
TINY = (
    *("--width=8", "--batch_size=8", "--steps=12", "--num_samples=4"),
    *("--log_interval=3", "--sample_interval=6", "--checkpoint_interval=3"),
)


def start(*arguments, cwd=REPOSITORY, env=None):
    inherited = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, "PYTHONPATH": str(REPOSITORY), **(env or {})},
        # Processes that a shell starts in the background ignore Ctrl-C, and so do
        # their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def call(*arguments, **kwargs):
    process = start(*arguments, **kwargs)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)
