"""The PyTorch side of the comparison, with networks of a few weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from tests.processes import REPOSITORY

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


@pytest.mark.parametrize(
    "image_size, networks, output, message",
    [
        (32, NETWORKS, "a.npz", "must be a run with RGB images of 64 px"),
        (64, None, "a.npz", "There is no torch_sagan64.py in "),
        (64, "import missing", "a.npz", "torch_sagan64.py in .*: No module named"),
        (64, "Generator = Discriminator = 0", "a.png", "takes FILE.npz. Received: a.p"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    image_size, networks, output, message, tmp_path, monkeypatch
):
    pytest.importorskip("torch")
    from experiments.pytorch_faces import _check

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "torch_sagan64", raising=False)
    if networks:
        (tmp_path / "torch_sagan64.py").write_text(networks)
    with pytest.raises(UserError, match=message):
        _check(Config(image_size=image_size), tmp_path, Path(output))
