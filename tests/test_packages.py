import importlib.metadata

import pytest

from sagan_tf import packages
from sagan_tf.errors import UserError


def test_in_a_clone_the_requirements_are_installed():
    with pytest.raises(UserError, match="X needs no_such: .* -r .*requirements-plot.t"):
        packages.check_installed("X", "plot", "numpy", "no_such")
    packages.check_installed("X", "plot", "numpy")


def test_an_installed_package_names_the_packages(monkeypatch):
    monkeypatch.setattr(packages, "__file__", "/nowhere/sagan_tf/packages.py")
    requirements = [
        "numpy<3,>=2.0",
        'onnx<2,>=1.20; extra == "export"',
        'torch<3,>=2.6; extra == "torch"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: requirements)
    command = packages.describe_install("export")
    assert command == "python -m pip install 'onnx<2,>=1.20'"
    assert packages.describe_install() == "python -m pip install 'numpy<3,>=2.0'"
