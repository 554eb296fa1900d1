"""The documentation: its site builds, and its commands run as they stand."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sagan_tf.commands.main import run_command
from sagan_tf.evaluation import classifier
from tests.processes import REPOSITORY, TINY

PAGES = [
    path.relative_to(REPOSITORY).as_posix()
    for pattern in (
        *("*.md", "docs/*.md", "benchmarks/*.md", "pretrained/*/*.md"),
        "examples/*.py",
    )
    for path in sorted(REPOSITORY.glob(pattern))
    if path.name != "CHANGELOG.md"  # of the past
]
# What is not run here, and why.
NOT_RUN = {
    r"pip install|python -m venv|pre-commit": "installs; .ci/run and test_wheel.py do",
    r"pytest|\.ci/run|sphinx-build": "runs the tests",
    r"docker|curl|hf upload": "needs a server",
    r"srun|sbatch": "needs a cluster",
    r"twine|python -m build": "builds a wheel; .ci/run does",
    r"gradio_client": "needs a running demo; tests/demo",
    r"^from experiments": "trains for minutes; tests/experiments",
    r"load_preset\(": "trains for half a minute; tests/training calls `train` so",
    r"workdir=digits$": "needs a download",
    r"sagan-tf demo": "runs until it is stopped; tests/demo",
    r"extractor=inception": "downloads Inception",
    r"reference=test": "needs the test digits of MNIST",
    r"import_torch": "needs PyTorch's checkpoints; tests/importers",
    r"prepare --delete": "names a set in somebody's cache",
    r"experiments\.\w+ (?!.*--list)": "trains for hours; tests/experiments",
    r"examples\.cyclegan": "trains for minutes; tests/examples",
    r"python benchmarks/": "measures for minutes; test_benchmarks.py",
    r"neighbors --.*num_images=200": "needs MNIST and CelebA",
    r"jupytext": "converts; tests/examples",
    r"KERAS_BACKEND": "needs JAX or PyTorch; .ci/run has JAX",
}


def find_commands(page):
    """Returns what a page tells to run, in its order, code within text last.

    Each line of a code block that names no language is a command. Other blocks are
    Python, which is run too, or something that is not to be run here: a script for
    several machines, which tests/training/test_distribution.py tries in its own way, or
    an output. Of a tutorial, whose code has tests of its own, the text is read.
    """
    text = (REPOSITORY / page).read_text()
    if page.endswith(".py"):
        text = "\n".join(re.findall(r"^# (.*)", text, flags=re.M))
    commands = []
    for language, block in re.findall(
        r"^ *```(\S*)\n(.*?)^ *```", text, flags=re.M | re.S
    ):
        if language == "python":
            commands.append(block)
        elif not language:
            commands += re.sub(r"\\\n\s*", "", block).splitlines()
    joined = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    joined = re.sub(r"\s*\n\s*", " ", joined)
    commands += re.findall(r"`((?:sagan-tf|python|pip) [^`]*-[^`]*)`", joined)
    commands = [
        own if is_python(own) else re.split(r"\s+#", own)[0] for own in commands
    ]
    stands_for = re.compile(r"COMMAND|\.\.\.")
    return [own for own in commands if own and not stands_for.search(own)]


def is_python(command):
    return "\n" in command


def arguments_of(command):
    """Returns the arguments of `sagan-tf` in a command, or None if it has none."""
    programs = r"(sagan-tf|python -m sagan_tf|python train\.py)( [^|]*|$)"
    found = re.search(programs, command)
    if not found:
        return None
    own = ["train"] if "train.py" in found[1] else []
    return own + shlex.split(found[2])


def is_run(command):
    return not any(re.search(pattern, command) for pattern in NOT_RUN)


COMMANDS = {page: find_commands(page) for page in PAGES}


def test_each_reason_is_for_a_command():
    all_commands = [command for own in COMMANDS.values() for command in own]
    assert len(all_commands) > 80
    for pattern in NOT_RUN:
        assert any(re.search(pattern, command) for command in all_commands), pattern


@pytest.fixture(scope="module")
def short_classifier():
    """The classifier of `evaluate` is trained for seconds instead of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_MAX_STEPS", 60)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory, short_classifier):
    """A folder with the runs and data that the pages name, as small as can be."""
    folder = tmp_path_factory.mktemp("base")
    for name in ("photos", "my_pictures/cat", "my_pictures/dog"):
        (folder / name).mkdir(parents=True)
        for number in range(70):
            pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3))
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(folder / name / f"{number}.png")
    (folder / "DIR").mkdir()
    (folder / "my_config.py").write_text(
        "from sagan_tf import Config\n\n\ndef get_config():\n    return Config()\n"
    )
    runs = folder / "runs"
    evaluation = ("--evaluation_interval=12", "--evaluation_images=200")
    pictures = f"--data_dir={folder / 'my_pictures'}"
    for name, *flags in (
        ("digits", *evaluation),
        ("mnist_conditional", "--config=mnist_conditional", "--dataset=digits"),
        ("folder_conditional", "--dataset=folder_conditional", pictures),
    ):
        schedule = ["--decay_start_step=", "--decay_end_step="]
        command = ["train", *TINY, *flags, *schedule, f"--workdir={runs / name}"]
        assert run_command(command) == 0
    for name, seed in (
        *((name, 0) for name in ("a", "b", "mnist", "faces", "imported")),
        *((name, 0) for name in ("longer", "my_pictures")),
        *((f"{group}_seed{seed}", seed) for group in "ab" for seed in (0, 1)),
    ):
        shutil.copytree(runs / "digits", runs / name)
        path = runs / name / "config.json"
        changes = {"seed": seed, "ema_decay": 0.9 if name[0] == "b" else 0.99}
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def marks_of(page):
    """The README's commands are run by .ci/run each time."""
    return pytest.mark.slow if page == "README.md" else pytest.mark.exhaustive


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=marks_of(page)) for page in PAGES if COMMANDS[page]],
)
def test_the_commands_of_a_page_run_in_their_order(page, base, tmp_path, monkeypatch):
    for package in ("plotly", "matplotlib", "onnx", "huggingface_hub"):
        pytest.importorskip(package)
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for command in filter(is_run, COMMANDS[page]):
        if is_python(command):
            exec(command, {})
            continue
        arguments = arguments_of(command)
        if arguments is None:
            assert command.startswith("python "), (
                f"Neither run nor in NOT_RUN: {command}"
            )
            monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
            python = command.replace("python", shlex.quote(sys.executable), 1)
            subprocess.run(python, shell=True, check=True)
            continue
        # Training takes minutes to days: settings, data and networks, as a dry run.
        dry_run = ["--dry_run"] * (arguments[0] == "train")
        assert run_command(arguments + dry_run) == 0, command


@pytest.mark.slow
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
    assert "``" not in page  # inline code that was not converted
