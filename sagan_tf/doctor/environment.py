"""Checks of the versions that are installed."""

import contextlib
import importlib.metadata
import importlib.util
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sagan_tf import __version__
from sagan_tf.doctor.findings import Check, Finding, describe, quiet
from sagan_tf.errors import UserError
from sagan_tf.files import read_text
from sagan_tf.start_tensorflow import check_backend, start_tensorflow

_NAMED = ("tensorflow", "keras", "numpy")  # packages that have a line if they are right


def list_checks() -> list[Check]:
    """Returns the checks of what is installed."""
    reinstall = "Install this package again, with its requirements"
    if _project().exists():
        path = shlex.quote(str(_project().with_name("requirements.txt")))
        reinstall = f"python -m pip install --force-reinstall -r {path}"
    return [
        Check("packages", check_packages, reinstall, False),
        Check("TensorFlow", check_imports, reinstall, False),
    ]


def check_packages() -> Iterator[Finding]:
    """Compares the versions of Python and of all packages with the required ones."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "ok", f"{version}, sagan_tf {__version__}")
    others = 0
    for name, requirement in requirements().items():
        remedy = f"python -m pip install {shlex.quote(str(requirement))}"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "failure", "not installed", remedy)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found = f"{version}, but {requirement.specifier} is required"
            yield Finding(name, "failure", found, remedy)
        elif name in _NAMED:
            yield Finding(name, "ok", version)
        else:
            others += 1
    yield Finding("packages", "ok", f"{others} others as required")


def check_imports() -> Iterator[Finding]:
    """Imports TensorFlow and Keras, and checks Keras's backend."""
    try:
        start_tensorflow()
        importlib.import_module("keras")
        check_backend()  # ~/.keras/keras.json can set another one
    except (UserError, ModuleNotFoundError) as error:
        remedy = "export KERAS_BACKEND=tensorflow"
        if importlib.util.find_spec("tensorflow") is None:
            remedy = f"python -m pip install '{requirements()['tensorflow']}'"
        yield Finding("TensorFlow", "failure", describe(error), remedy)
        return
    yield Finding("TensorFlow", "ok", "is the backend of Keras")


def tensorflow_works() -> bool:
    """Returns whether TensorFlow and Keras can be imported."""
    with quiet(), contextlib.suppress(Exception):
        return all(finding.status == "ok" for finding in check_imports())
    return False


def requirements() -> dict[str, Any]:
    """Returns the requirements of this package, as `packaging` parses them, by name."""
    from packaging.requirements import Requirement

    project = _project()
    if project.exists():
        text = read_text(project.with_name("requirements.txt"))
        lines = [line for line in text.splitlines() if line[:1].isalpha()]
    else:
        lines = importlib.metadata.requires("sagan_tf") or []
    parsed = [Requirement(line) for line in lines if "extra ==" not in line]
    return {requirement.name: requirement for requirement in parsed}


def _project() -> Path:
    """Returns the file beside the package of a checkout; an installed one has none."""
    return Path(__file__).parents[2] / "pyproject.toml"
