"""Fuzzing: whatever a user, a preset or a damaged run holds, the answer is one line.

`FUZZ_CASES=2000 python -m pytest tests/test_fuzz.py` tries 2,000 cases a test, not 60.
Cases that once failed are the examples of each test.
"""

import dataclasses
import json
import os
import random
import shutil
from pathlib import Path

import pytest
from absl import flags
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sagan_tf.commands.main import COMMANDS, run_command
from sagan_tf.config import Config, load_config, load_preset
from sagan_tf.errors import UserError
from sagan_tf.evaluation import classifier
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags
from sagan_tf.start_tensorflow import start_tensorflow
from tests.processes import TINY

CASES = int(os.environ.get("FUZZ_CASES", 60))
settings.register_profile(
    "fuzz",
    max_examples=CASES,
    derandomize=True,  # the same cases in every run
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")

FIELDS = [field.name for field in dataclasses.fields(Config)]
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("", "0", "-1", "1e400", "nan", "inf", "None", "true", "[]", "1,2", ",,"),
            *("/", "..", "\x1b[2J", "9" * 400, "💥", "a,b", '"', "@best", "{", "%s"),
            *("mnist:3.0.1", "huggingface:x", "gs://x", "digits", "folder", "hinge"),
        ]
    ),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    st.integers().map(str),
    st.floats().map(str),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | TEXTS,
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values)
    ),
    max_leaves=5,
)


@given(
    st.lists(st.tuples(st.sampled_from([*FIELDS, "config"]), TEXTS), max_size=4),
    st.lists(TEXTS, max_size=2),
)
@example([("beta_1", "1e400")], [])
@example([("batch_size", "9" * 5000)], [])
@example([("workdir", "a" * 300)], [])
@example([("config", "/")], [])
def test_flags(pairs, rest):
    start_tensorflow()
    values = flags.FlagValues()
    define_config_flags(values)
    arguments = [f"--{name}={value}" for name, value in pairs] + rest
    try:
        parse_flags(values, arguments)
        config = config_from_flags(values)
    except UserError as error:
        assert_one_line(error)
    except OSError as error:  # which commands report with the name
        assert error.filename
    else:
        assert json.loads(config.to_json())


@given(st.dictionaries(st.sampled_from([*FIELDS, "workdir", "x"]), JSON, max_size=3))
@example({"beta_1": 10**400})
@example({"beta_1": -(10**400)})
@example({"dataset": "\ud800"})
@example({"classes": ["\0"]})
@example({"evaluation_extractor": ["a"], "evaluation_metric": []})
@example({"discriminator_attention_resolutions": [10**400]})
def test_config_values(tmp_path_factory, values):
    workdir = tmp_path_factory.getbasetemp() / "config"
    workdir.mkdir(exist_ok=True)
    (workdir / "config.json").write_text(json.dumps(values))
    try:
        config = load_config(workdir)
    except UserError as error:
        assert_one_line(error)
        assert "config.json" in str(error)
    else:
        (workdir / "config.json").write_text(config.to_json())
        assert load_config(workdir) == config


@given(st.binary(max_size=200))
@example(b"\xff")
@example(b"[" * 10_000)
@example(b"1" * 5000)
def test_config_bytes(tmp_path_factory, content):
    workdir = tmp_path_factory.getbasetemp() / "config"
    workdir.mkdir(exist_ok=True)
    (workdir / "config.json").write_bytes(content)
    try:
        load_config(workdir)
    except UserError as error:
        assert_one_line(error)


STATEMENTS = [
    "raise ValueError('no\\nway')",
    "raise SystemExit(3)",
    "import nowhere",
    "1 / 0",
    "def get_config(): return 3",
    "def get_config(): return None",
    "def get_config(x): return x",
    "def get_config(): return get_config()",
    "def get_config(): raise OSError(28, 'full')",
    "def get_config(): return Config(batchsize=3)",
    "def get_config(): return Config(width='3')",
    "def get_config(): return Config(steps=10**5000)",
    "get_config = 3",
    "from sagan_tf import Config",
    "def get_config(): return Config(steps=3)",
    "def f(:",
    "\0",
    "x = '\ud800'",
    "exit()",
]


@given(st.lists(st.sampled_from(STATEMENTS), max_size=4) | st.lists(TEXTS, max_size=3))
@example(["from sagan_tf import Config", "def get_config(): return Config(steps=3)"])
def test_preset_files(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "preset.py"
    path.write_text("\n".join(lines), errors="surrogatepass")
    try:
        assert isinstance(load_preset(path), Config)
    except UserError as error:
        assert_one_line(error)
        assert "preset.py" in str(error)


COMMAND_FLAGS = {
    "sample": ("num_images", "truncation", "labels", "output", "step", "seed"),
    "interpolate": ("latents", "steps", "labels", "method", "output", "fps"),
    "attend": ("num_images", "num_real", "points", "labels", "output"),
    "neighbors": ("num_images", "neighbors", "output", "seed"),
    "video": ("fps", "output"),
    "report": ("output",),
    "plot": ("columns", "x", "output"),
    "export": ("format", "step"),
    "evaluate": ("metrics", "extractor", "reference", "samples", "num_images"),
    "import_torch": ("generator", "discriminator", "config"),
}
FLAG_TEXTS = st.sampled_from(
    [
        *("", "0", "-1", "3", "nan", "1e400", "a,b", "0,0", "99,99", "\x1b", "x.png"),
        *("x.npz", "x.gif", "folder", "/dev/null/x", "/dev/zero", "fid", "frechet"),
        *("1,2,3", '"', "../..", "train", "test", "9" * 30, "x.mp4", "/proc/self/mem"),
    ]
)


@pytest.mark.exhaustive
@settings(max_examples=CASES // 8)
@given(st.data())
def test_commands_of_a_run(workdir, tmp_path_factory, capsys, data):
    """Any flags of any command; outputs go to a folder of their own."""
    name = data.draw(st.sampled_from(sorted(COMMAND_FLAGS)))
    given_flags = data.draw(
        st.dictionaries(st.sampled_from(COMMAND_FLAGS[name]), FLAG_TEXTS, max_size=3)
    )
    folder = tmp_path_factory.mktemp("commands")
    copy = folder / "run"
    shutil.copytree(workdir, copy)
    arguments = [f"--{flag}={value}" for flag, value in given_flags.items()]
    target = folder / "imported" if name == "import_torch" else copy
    former = Path.cwd()
    os.chdir(folder)
    try:
        check_command(capsys, [name, f"--workdir={target}", *arguments], folder)
    finally:
        os.chdir(former)
        shutil.rmtree(folder)


FILES = [
    *("run/config.json", "run/data.json", "run/logs/metrics.csv", "run/.lock"),
    *("run/checkpoints/step-9.index", "run/checkpoints/step-12.index"),
    *("run/checkpoints/step-12.data*", "run/checkpoints/best/*.index"),
    *("run/samples/000006.png", "run/samples/000012.png"),
    *("run/export/saved_model/saved_model.pb", "run/logs/evaluation.csv"),
    *("run/evaluation/000012.json", "run/evaluation", "run/checkpoints", "run/logs"),
    *("run/samples", "run/export", "run/logs/tensorboard", "cache"),
    *("cache/classifiers", "cache/classifiers/*.keras", "cache/classifiers/*.json"),
    *("cache/features", "cache/features/*", "cache/yardsticks/*", "cache/yardsticks"),
]
EVALUATION = ("--evaluation_interval=6", "--evaluation_images=50")


@pytest.fixture(scope="module")
def evaluated_run(tmp_path_factory):
    """A folder with a run that was evaluated, and its cache."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGAN_TF_CACHE", str(folder / "cache"))
        patch.setattr(classifier, "_MAX_STEPS", 60)
        run = f"--workdir={folder / 'run'}"
        assert run_command(["train", run, *TINY, *EVALUATION]) == 0
        evaluate = ["evaluate", "--extractor=classifier", "--num_images=50"]
        assert run_command([*evaluate, run]) == 0
    patterns = [name for name in FILES if not list(folder.glob(name))]
    assert set(patterns) <= {"run/logs/tensorboard"}  # which is optional
    return folder


@pytest.mark.exhaustive
@settings(max_examples=CASES // 8)
@given(
    st.lists(st.sampled_from(FILES), min_size=1, max_size=3, unique=True),
    st.sampled_from(
        ["missing", "empty", "cut", "flipped", "garbage", "folder", "fifo"]
    ),
    st.integers(0, 2**20),
    st.sampled_from(["train", "train", "evaluate", "sample", "video", "export"]),
)
def test_damaged_runs(
    evaluated_run, tmp_path_factory, capsys, names, damage, seed, command
):
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(evaluated_run, folder, dirs_exist_ok=True)
    for name in names:
        for path in sorted(folder.glob(name)):
            damage_file(path, damage, random.Random(seed))
    arguments = [command, f"--workdir={folder / 'run'}"]
    if command == "train":
        arguments += [*TINY, *EVALUATION, "--steps=13"]
    if command == "evaluate":
        arguments += ["--extractor=classifier", "--num_images=50"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGAN_TF_CACHE", str(folder / "cache"))
        patch.setattr(classifier, "_MAX_STEPS", 60)
        check_command(capsys, arguments, folder)
    shutil.rmtree(folder)


def damage_file(path, damage, random):
    if not path.parent.is_dir():  # damaged already
        return
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if damage == "missing":
        return
    if damage == "folder":
        path.mkdir()
    elif damage == "fifo":
        os.mkfifo(path)
    elif damage == "empty":
        path.touch()
    elif damage == "garbage":
        path.write_bytes(random.randbytes(300))
    else:
        at = random.randrange(len(content)) if content else 0
        changed = bytearray(content)
        if damage == "cut":
            changed = changed[:at]
        elif content:
            changed[at] ^= 1 << random.randrange(8)
        path.write_bytes(changed)


def check_command(capsys, arguments, folder):
    assert arguments[0] in COMMANDS
    code = run_command(arguments)
    captured = capsys.readouterr()
    assert code in (0, 1)
    if code:
        errors = [line for line in captured.err.splitlines() if line[:6] == "Error:"]
        assert len(errors) == 1, captured.err
    assert "Traceback" not in captured.err
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]


def assert_one_line(error):
    text = str(error)
    assert text and "\n" not in text and "\x1b" not in text
    text.encode()
