"""The tutorials run as they stand, and convert to notebooks."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
TUTORIALS = ("self_attention_in_keras", "sagan_from_its_layers", "your_own_pictures")


def run_tutorial(name, folder):
    """Runs a tutorial in a folder, and returns what it printed."""
    settings = {
        "PYTHONPATH": str(REPOSITORY),
        "SAGAN_TF_CACHE": str(folder / "cache"),
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", TUTORIALS)
def test_they_convert_to_notebooks(name):
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(EXAMPLES / f"{name}.py")
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown" and notebook.cells[0].source.startswith("# ")
    assert kinds.count("code") >= 4
    assert notebook.metadata.kernelspec.name == "python3"
    jupytext.writes(notebook, "ipynb")


@pytest.mark.exhaustive  # .ci/run has it under JAX, without TensorFlow
def test_attention_carries_color_across_the_image(tmp_path):
    said = run_tutorial("self_attention_in_keras", tmp_path)
    errors = {
        name: float(error)
        for name, error in re.findall(r"(\w+) +mean error in the square: (.*)", said)
    }
    # Painting the best constant has an error of E|u - 0.6|, u uniform in [0.2, 1].
    assert errors["convolutions"] == pytest.approx(0.2, abs=0.02)
    assert errors["attention"] < 0.08
    assert "Largest difference after loading: 0.0" in said
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "self_attention.png").exists()


@pytest.mark.exhaustive
def test_sagan_in_100_lines_learns_digits(tmp_path):
    from PIL import Image

    said = run_tutorial("sagan_from_its_layers", tmp_path)
    assert "Step 2000" in said
    grid = np.asarray(Image.open(tmp_path / "digits.png"), np.float32)
    images = grid.reshape(8, 16, 8, 16).swapaxes(1, 2).reshape(64, 16, 16)
    # Bright strokes in the middle, a dark border, and no two images alike.
    assert images[:, 4:12, 4:12].mean() > 4 * images[:, :, [0, -1]].mean()
    assert images.std(axis=0).mean() > 25


@pytest.mark.exhaustive  # two minutes
def test_your_own_pictures_end_in_an_export(tmp_path):
    said = run_tutorial("your_own_pictures", tmp_path)
    assert "Resuming from step 1,500 to step 2,000" in said
    for name in ("samples.png", "neighbors.png", "attention/attention.html"):
        assert (tmp_path / name).exists()
    assert (tmp_path / "runs/my_pictures/export/onnx/generator.onnx").exists()
