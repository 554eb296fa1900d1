"""Commands as a user types them, in processes of their own."""

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


def start(*arguments, cwd=REPOSITORY):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        # Ctrl-C is ignored by what a shell has started in the background, and by all
        # that is started from there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def call(*arguments, cwd=REPOSITORY):
    process = start(*arguments, cwd=cwd)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def command(name, workdir, *arguments):
    return call("-m", "sagan_tf", name, f"--workdir={workdir}", *arguments)
