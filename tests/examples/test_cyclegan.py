import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.mark.exhaustive
def test_cyclegan_translates_and_reverses(tmp_path):
    """Eighty steps learn the colors; the quality of the digits is not checked."""
    picture = tmp_path / "out" / "cyclegan.png"
    command = [sys.executable, "-m", "examples.cyclegan", "--steps=80"]
    done = subprocess.run(
        [*command, f"--output={picture}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(picture) in done.stdout
    rows = np.asarray(Image.open(picture), np.float32).reshape(6, 32, 8 * 32, 3)
    a, to_b, a_again, b, to_a, b_again = rows
    assert np.abs(a - a_again).mean() < 40 and np.abs(b - b_again).mean() < 40
    # Each translation has the paper color of the other set.
    for there, target in ((to_b, b), (to_a, a)):
        np.testing.assert_allclose(
            np.median(there, axis=(0, 1)), np.median(target, axis=(0, 1)), atol=60
        )
