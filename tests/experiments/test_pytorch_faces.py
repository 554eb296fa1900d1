"""The PyTorch side of the comparison, with networks of a few weights."""

import subprocess
import sys

import numpy as np
import pytest

from tests.processes import REPOSITORY, call

# The images of this generator are of one level, which is its only weight. This
# discriminator's logit grows with the brightness. Both have a frozen weight too.
NETWORKS = """
import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))
        self.frozen = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.u = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, latents):
        # A power iteration, which autocast leaves in bfloat16, as in the networks.
        matrix = torch.ones(1, 1)
        self.u.data = matrix @ self.u
        level = torch.tanh(self.level + self.frozen + (self.u - matrix @ self.u).sum())
        return level.expand(len(latents), 3, 64, 64), None


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, images):
        return images.mean((1, 2, 3)) * self.slope * self.frozen, None
"""
TRAIN = """
import numpy as np
from experiments import pytorch_faces

pytorch_faces.NUM_IMAGES = 70
images = np.full((100, 64, 64, 3), 200, np.uint8)
np.save("images.npy", pytorch_faces.train(images, steps=300, seed=0))
"""


@pytest.mark.exhaustive
def test_the_generator_learns_from_the_images(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "torch_sagan64.py").write_text(NETWORKS)
    command = [sys.executable, "-c", TRAIN]
    paths = {"PYTHONPATH": f"{REPOSITORY}:{tmp_path}"}
    done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True)
    assert done.returncode == 0, done.stderr
    images = np.load(tmp_path / "images.npy")
    assert images.shape == (70, 64, 64, 3) and images.dtype == np.uint8
    # From 127.5 up to the level of the images.
    assert 130 <= images.min() == images.max() <= 210


def test_other_runs_are_refused(tmp_path, workdir):
    pytest.importorskip("torch")
    flags = [f"--workdir={workdir}", f"--reference={tmp_path}", "--steps=1"]
    code, _, stderr = call("-m", "experiments.pytorch_faces", *flags)
    assert code == 1
    assert stderr.endswith("Error: --workdir must be a run with RGB images of 64 px\n")
