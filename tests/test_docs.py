"""The documentation site builds without a warning, and without a network."""

import subprocess
import sys

import pytest

from tests.processes import REPOSITORY

pytestmark = pytest.mark.slow


def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html"]
    folders = [REPOSITORY / "docs", tmp_path]
    done = subprocess.run(
        [*command, *folders], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "api.html").read_text()
    for name in ("SelfAttention", "load_pretrained", "export_onnx", "Sampler.generate"):
        assert f">{name.rpartition('.')[2]}<" in page
    assert "key_reduction" in page
