"""Checks of an installation, of a run and of data, for the command `doctor`.

Each check runs on its own: one that raises an exception becomes a failing line, and the
next ones run. Nothing is imported here that a broken installation may lack.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from absl import flags

from sagan_tf import __version__
from sagan_tf.config import Config, load_config
from sagan_tf.errors import UserError
from sagan_tf.files import read_json, read_text
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags
from sagan_tf.start_tensorflow import check_backend, start_tensorflow

if TYPE_CHECKING:
    from sagan_tf.data.loading import LoadedData

_GIB = 2**30
_LEAST_GIB = 4  # of memory and of disk; with less there is a warning
_SAMPLE = 1000  # images of a larger set that are read
_NAMED = 10  # files that a line names
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of the names of tensors in a checkpoint
_DOCTOR = "python -m sagan_tf doctor"

Status = Literal["ok", "warning", "failure", "skipped"]


class Finding(NamedTuple):
    """What a check found: one line of the report.

    Attributes:
        name: What was checked.
        status: `"ok"`, `"warning"`, `"failure"`, or `"skipped"` for a check that needs
            what is missing.
        found: What was found.
        remedy: What to do about it, or `""`.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


class Check(NamedTuple):
    """A check of one thing.

    Attributes:
        name: What it checks.
        find: Function without arguments that returns or yields its findings.
        remedy: What to do if it raises an exception.
        needs_tensorflow: Boolean, whether it needs TensorFlow and Keras.
    """

    name: str
    find: Callable[[], Iterable[Finding]]
    remedy: str
    needs_tensorflow: bool = True


def examine(
    dataset: str | None = None,
    data_dir: str | None = None,
    workdir: str | None = None,
) -> Iterator[Finding]:
    """Yields the findings of all checks, each as soon as it is known.

    Args:
        dataset: Preset, data set of TensorFlow Datasets or `"folder"`, as for training.
            The default is the run's, or `"folder"` if only `data_dir` is given.
        data_dir: Folder of images, or of prepared TensorFlow Datasets.
        workdir: Run directory. Nothing is written there.
    """
    for check in list_version_checks():
        yield from run_check(check)
    works = _tensorflow_works()
    checks = list_machine_checks(workdir)
    if workdir is not None:
        checks += list_run_checks(Path(workdir))
    if dataset or data_dir:
        checks += list_data_checks(dataset, data_dir, workdir)
    for check in [*checks, *list_training_checks()]:
        if check.needs_tensorflow and not works:
            yield Finding(check.name, "skipped", "needs TensorFlow and Keras")
        else:
            yield from run_check(check)


def run_check(check: Check) -> list[Finding]:
    """Returns a check's findings; an exception that it raises is the last of them."""
    findings: list[Finding] = []
    with _quiet():
        try:
            findings.extend(check.find())
        except Exception as error:  # whatever it is, the next checks run
            findings.append(
                Finding(check.name, "failure", _describe(error), check.remedy)
            )
    return findings


def list_version_checks() -> list[Check]:
    """Returns the checks of what is installed."""
    reinstall = "Install this package again, with its requirements"
    if _project().exists():
        path = shlex.quote(str(_project().with_name("requirements.txt")))
        reinstall = f"python -m pip install --force-reinstall -r {path}"
    return [
        Check("Python", check_python, "Use Python 3.11 or later", False),
        Check("TensorFlow", check_tensorflow, reinstall, False),
        Check("Keras", check_keras, reinstall, False),
        Check("packages", check_packages, reinstall, False),
    ]


def list_machine_checks(workdir: str | None) -> list[Check]:
    """Returns the checks of the machine; of the disk of the run directory too."""
    runs = _disk_check("disk of runs", lambda: Path(workdir or "."), "--workdir=DIR")
    cache = _disk_check("disk of cache", _find_cache, "export SAGAN_TF_CACHE=DIR")
    return [
        Check("devices", check_devices, "Look at the GPU's driver: nvidia-smi"),
        Check("bfloat16", check_bfloat16, "Train with --precision=float32"),
        Check("XLA", check_xla, "Train with --nojit_compile"),
        Check("memory", check_memory, "python -m pip install psutil", False),
        runs._replace(needs_tensorflow=False),
        cache,
        Check(
            "Inception",
            check_inception,
            "Evaluate with another extractor: --extractor=classifier",
        ),
    ]


def _disk_check(name: str, find: Callable[[], Path], flag: str) -> Check:
    remedy = f"Give a folder on another disk: {flag}"
    return Check(name, functools.partial(check_disk, name, find, remedy), remedy)


def list_run_checks(workdir: Path) -> list[Check]:
    """Returns the checks of a run directory."""
    remedy = (
        "Restore the file from a copy. Without one: start a run with the same flags in "
        "another --workdir, stop it, and copy its config.json"
    )
    if not workdir.is_dir():
        remedy = f"Give the directory of a run: {_DOCTOR} --workdir=runs/digits"
    find = functools.partial(check_config, workdir)
    config = Check("config.json", find, remedy, False)
    if not workdir.is_dir():
        return [config]
    owner = f"Check who owns the files: ls -la {shlex.quote(str(workdir))}"
    return [
        config,
        Check("lock", functools.partial(check_lock, workdir), owner, False),
        Check("checkpoints", functools.partial(check_checkpoints, workdir), owner),
        Check("logs", functools.partial(check_logs, workdir), owner),
        Check("leftovers", functools.partial(check_leftovers, workdir), owner),
    ]


def list_data_checks(
    dataset: str | None, data_dir: str | None, workdir: str | None
) -> list[Check]:
    """Returns the checks of a data set."""
    find_config = functools.partial(_find_config, dataset, data_dir, workdir)
    remedy = f"Give the folder of the images: {_DOCTOR} --dataset=folder --data_dir=DIR"
    if dataset not in (None, "folder"):
        # Training downloads what is missing, and says if there is no such data set.
        command = f"python -m sagan_tf train {shlex.quote(f'--dataset={dataset}')}"
        remedy = (
            "Give the folder where it is prepared, --data_dir=DIR, or download it: "
            f"{command}"
        )
    return [Check("data", functools.partial(check_data, find_config), remedy)]


def list_training_checks() -> list[Check]:
    """Returns the check that trains."""
    remedy = (
        "To see the whole error: python -m sagan_tf train --dataset=digits --steps=3 "
        f"--workdir={shlex.quote(tempfile.gettempdir())}/doctor"
    )
    return [Check("training", check_training, remedy)]


def check_python() -> Iterator[Finding]:
    """Checks the version of Python and names that of this package."""
    found = ".".join(map(str, sys.version_info[:3]))
    required = _required_python()
    yield _compare("Python", found, required, f"Use Python {required}")
    yield Finding("sagan_tf", "ok", __version__)


def check_tensorflow() -> Iterator[Finding]:
    """Checks that TensorFlow can be imported, and its version."""
    requirement = _requirements()["tensorflow"]
    remedy = f"python -m pip install {shlex.quote(str(requirement))}"
    if importlib.util.find_spec("tensorflow") is None:
        yield Finding("TensorFlow", "failure", "not installed", remedy)
        return
    with contextlib.suppress(UserError):  # another backend: the line of Keras says so
        start_tensorflow()
    module = sys.modules.get("tensorflow")
    version = module.__version__ if module else importlib.metadata.version("tensorflow")
    yield _compare("TensorFlow", version, str(requirement.specifier), remedy)


def check_keras() -> Iterator[Finding]:
    """Checks that Keras can be imported, its version and its backend."""
    requirement = _requirements()["keras"]
    remedy = f"python -m pip install {shlex.quote(str(requirement))}"
    if importlib.util.find_spec("keras") is None:
        yield Finding("Keras", "failure", "not installed", remedy)
        return
    if importlib.util.find_spec("tensorflow") is None:
        yield Finding("Keras", "skipped", "needs TensorFlow")
        return
    try:
        check_backend()
        keras = importlib.import_module("keras")
        check_backend()  # ~/.keras/keras.json can set another one
    except (UserError, ModuleNotFoundError) as error:  # without jax, if it sets jax
        remedy = "export KERAS_BACKEND=tensorflow"
        yield Finding("Keras", "failure", _describe(error), remedy)
        return
    finding = _compare("Keras", keras.__version__, str(requirement.specifier), remedy)
    yield finding._replace(found=f"{finding.found}, backend tensorflow")


def check_packages() -> Iterator[Finding]:
    """Checks the versions of all other packages that this one requires."""
    right = 0
    for name, requirement in _requirements().items():
        if name in ("tensorflow", "keras"):
            continue
        remedy = f"python -m pip install {shlex.quote(str(requirement))}"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "failure", "not installed", remedy)
            continue
        finding = _compare(name, version, str(requirement.specifier), remedy)
        if name == "numpy":
            yield finding._replace(name="NumPy")
        elif finding.status == "ok":
            right += 1
        else:
            yield finding
    yield Finding("packages", "ok", f"{right} others as required")


def check_devices() -> Iterator[Finding]:
    """Names the devices that training runs on."""
    import tensorflow as tf

    from sagan_tf.training.distribution import describe_devices

    cpus = _count_cpus()
    if tf.config.list_physical_devices("GPU"):
        yield Finding("devices", "ok", f"{describe_devices()}; {cpus}")
        return
    has_driver = Path("/proc/driver/nvidia/gpus").is_dir()
    if has_driver and "CUDA_VISIBLE_DEVICES" not in os.environ:
        requirement = _requirements()["tensorflow"]
        cuda = f"tensorflow[and-cuda]{requirement.specifier}"
        yield Finding(
            "devices",
            "failure",
            f"{cpus}. There is an NVIDIA GPU, but TensorFlow does not see it",
            f"python -m pip install {shlex.quote(cuda)}",
        )
        return
    yield Finding(
        "devices",
        "warning",
        f"{cpus}; TensorFlow sees no GPU. Training on a CPU is for small images",
        "Start with 32 px: python -m sagan_tf train --dataset=digits",
    )


def check_bfloat16() -> Iterator[Finding]:
    """Compares a product of matrices in bfloat16 with that in float32."""
    import numpy as np
    import tensorflow as tf

    a, b = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    half = tf.matmul(tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16))
    error = _relative_error(tf.cast(half, tf.float32).numpy(), a @ b)
    # bfloat16 has 8 bits: each factor and the product is off by up to 2^-9.
    yield _agreement("bfloat16", error, 0.02, "Train without it: --precision=float32")


def check_xla() -> Iterator[Finding]:
    """Compares a function that XLA compiled with the same in NumPy."""
    import numpy as np
    import tensorflow as tf

    a, b = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)

    @tf.function(jit_compile=True)
    def compute(a: Any, b: Any) -> Any:
        return tf.tanh(a @ b / 8.0)  # on a GPU tanh needs CUDA's library of functions

    error = _relative_error(compute(a, b).numpy(), np.tanh(a @ b / 8))
    # GPUs multiply float32 in TF32, which has 11 bits.
    yield _agreement("XLA", error, 0.01, "Train without it: --nojit_compile")


def check_memory() -> Iterator[Finding]:
    """Checks how much memory is available."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{_gib(memory.available)} available of {_gib(memory.total)}"
    if memory.available >= _LEAST_GIB * _GIB:
        yield Finding("memory", "ok", found)
        return
    yield Finding(
        "memory",
        "warning",
        found,
        "End other programs, or see what a training needs: python -m sagan_tf train "
        "--dataset=digits --dry_run",
    )


def check_disk(name: str, find: Callable[[], Path], remedy: str) -> Iterator[Finding]:
    """Checks that a folder, which may not exist yet, can be written and has room.

    Args:
        name: What the folder is for.
        find: Function that returns the folder.
        remedy: How to choose another one.
    """
    folder = find().expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield Finding(name, "failure", f"{folder} cannot be written", remedy)
        return
    usage = shutil.disk_usage(folder)
    found = f"{_gib(usage.free)} free of {_gib(usage.total)} at {folder}"
    if usage.free >= _LEAST_GIB * _GIB:
        yield Finding(name, "ok", found)
    else:
        yield Finding(name, "warning", found, remedy)


def check_inception() -> Iterator[Finding]:
    """Says which extractor `evaluate` would choose; nothing is downloaded."""
    from sagan_tf.evaluation.extractors import choose_extractor

    with contextlib.redirect_stdout(io.StringIO()) as said:
        choice = choose_extractor("auto")
    found = f"evaluate uses {said.getvalue().strip().removeprefix('Extractor: ')}"
    if choice == "inception":
        yield Finding("Inception", "ok", found)
        return
    yield Finding(
        "Inception",
        "warning",
        found,
        "FID needs it: connect to the network once, or give its SavedModel: python -m "
        "sagan_tf evaluate --workdir=runs/digits --extractor=inception:DIR",
    )


def check_config(workdir: Path) -> Iterator[Finding]:
    """Checks the settings of a run."""
    config = load_config(workdir)
    found = f"{config.dataset}, {config.image_size} px, {config.architecture}"
    yield Finding("config.json", "ok", f"{found}, {config.steps:,} steps")


def check_lock(workdir: Path) -> Iterator[Finding]:
    """Says who writes a run."""
    from sagan_tf.training.lock import describe_holder, is_locked

    if not is_locked(workdir):
        yield Finding("lock", "ok", "free")
        return
    yield Finding(
        "lock",
        "warning",
        f"{workdir} is being written by {describe_holder(workdir)}",
        "Wait for its end, or stop it, before you train there",
    )


def check_checkpoints(workdir: Path) -> Iterator[Finding]:
    """Reads every tensor of every checkpoint, whose checksums TensorFlow verifies."""
    from sagan_tf.training.checkpoints import find_checkpoints

    paths = find_checkpoints(workdir)
    if not paths:
        command = shlex.quote(f"--workdir={workdir}")
        yield Finding(
            "checkpoints",
            "warning",
            "none yet",
            f"Train: python -m sagan_tf train {command}",
        )
        return
    problems = {path: problem for path in paths if (problem := _find_damage(path))}
    for path, problem in problems.items():
        yield Finding(
            "checkpoints",
            "failure",
            problem,
            f"Delete it; the others are whole: rm {shlex.quote(str(path))}.*"
            if len(problems) < len(paths)
            else "Restore the folder from a copy, or train anew in another --workdir",
        )
    whole = [
        f"{path.parent.name} " * (path.parent.name == "best") + path.name
        for path in paths
        if path not in problems
    ]
    if whole:
        yield Finding("checkpoints", "ok", f"verified: {', '.join(whole)}")


def check_logs(workdir: Path) -> Iterator[Finding]:
    """Reads the logs, the scores and the record of the data."""
    from sagan_tf.training import logs

    paths = [
        *sorted((workdir / "logs").glob("*.csv")),
        *sorted((workdir / "evaluation").glob("*.json")),
        *workdir.glob("data.json"),
    ]
    bad = 0
    for path in paths:
        try:
            if path.suffix == ".json":
                read_json(path)
            else:
                logs.parse_rows(read_text(path))
        except Exception as error:
            bad += 1
            quoted = shlex.quote(str(path))
            yield Finding(
                "logs",
                "failure",
                f"{path} cannot be read: {_describe(error)}",
                f"Set it aside; a new one is begun: mv {quoted} {quoted}.damaged",
            )
    if not bad:
        yield Finding("logs", "ok", f"{len(paths)} readable")


def check_leftovers(workdir: Path) -> Iterator[Finding]:
    """Looks for what killed processes left half-written."""
    from sagan_tf.training.checkpoints import find_steps
    from sagan_tf.training.lock import is_locked

    if is_locked(workdir):
        yield Finding("leftovers", "skipped", "the run is being written")
        return
    found = list(workdir.rglob(".partial-*"))
    for folder in (workdir / "checkpoints", workdir / "checkpoints" / "best"):
        found += folder.glob("step-*_temp")
        steps = find_steps(folder)
        for path in folder.glob("step-*.data-*"):
            step = re.match(r"step-(\d+)\.", path.name)
            if step and int(step[1]) not in steps:
                found.append(path)
    if not found:
        yield Finding("leftovers", "ok", "none")
        return
    names = [str(path.relative_to(workdir)) for path in sorted(found)]
    command = shlex.quote(f"--workdir={workdir}")
    yield Finding(
        "leftovers",
        "warning",
        f"{len(names)} of killed processes: {_shorten(names)}",
        f"Resuming deletes them: python -m sagan_tf train {command}",
    )


def check_data(find_config: Callable[[], Config]) -> Iterator[Finding]:
    """Reads the images of a data set, or a sample of them; nothing is downloaded.

    Args:
        find_config: Function that returns the settings.
    """
    from sagan_tf.data.loading import load_data
    from sagan_tf.data.sources import open_source, take_first, with_classes

    try:
        config = find_config()
    except UserError as error:
        remedy = f"Give another name: {_DOCTOR} --dataset=digits"
        yield Finding("data", "failure", str(error), remedy)
        return
    source = open_source(config, download=False)
    count, _ = source.pictures()
    data = load_data(take_first(config, _SAMPLE), _SAMPLE, download=False)
    is_sample = count > _SAMPLE
    count = count if is_sample else len(data.images)
    classes = len(source.class_names())
    yield Finding(
        "data",
        "ok",
        f"{_count(count, 'image')} of {source.description}, "
        f"{_count(classes, 'class') if classes else 'no classes'}"
        f"{f'; a sample of {_SAMPLE:,} was read' * is_sample}",
    )
    if data.skipped:
        yield Finding(
            "data",
            "warning",
            f"{_count(len(data.skipped), 'file')}{' of the sample' * is_sample} cannot "
            f"be read: {_shorten(data.skipped)}",
            "Replace or delete them. Training skips them and lists all in "
            "logs/skipped_files.txt",
        )
    yield from _check_count(config, count)
    if config.conditional:
        yield from _check_classes(with_classes(config, download=False), data)


def _check_count(config: Config, count: int) -> Iterator[Finding]:
    from sagan_tf.training.train import FEW_IMAGES

    given = [f"--dataset={config.dataset}"]
    if config.data_dir:
        given.append(f"--data_dir={config.data_dir}")
    command = f"python -m sagan_tf train {shlex.join(given)}"
    if count < config.batch_size:
        command += f" --batch_size={count}"
        yield Finding(
            "data",
            "failure",
            f"{_count(count, 'image')}, fewer than --batch_size={config.batch_size}",
            command,
        )
    is_few = count < FEW_IMAGES and config.dataset != "digits"
    if is_few and not config.augmentation:
        yield Finding(
            "data",
            "warning",
            f"{_count(count, 'image')}, which the discriminator may memorize",
            f"For photos, not for text: {command} "
            "--augmentation=color,translation,cutout --horizontal_flip",
        )


def _check_classes(config: Config, data: "LoadedData") -> Iterator[Finding]:
    unlabeled = int((data.labels < 0).sum())
    if unlabeled:
        yield Finding(
            "data",
            "failure",
            f"{unlabeled:,} of {len(data.labels):,} images have no class",
            "Put each into the folder of its class, or train with --noconditional",
        )


def check_training() -> Iterator[Finding]:
    """Trains tiny networks for three steps and compares their export with the run."""
    import numpy as np
    import tensorflow as tf

    from sagan_tf.run import load_run
    from sagan_tf.training.train import train

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sagan_tf-") as folder:
        devices = max(1, len(tf.config.list_physical_devices("GPU")))
        config = Config(
            image_size=32,
            channels=1,
            width=8,
            batch_size=8 * devices,
            steps=3,
            log_interval=1,
            sample_interval=3,
            checkpoint_interval=3,
            num_samples=4,
            workdir=folder,
        )
        train(config)
        expected = load_run(folder).generate(4, seed=1)
        served = tf.saved_model.load(str(config.run_dir / "export" / "saved_model"))
        images = served.signatures["sample"](
            num_images=tf.constant(4),
            seed=tf.constant(1),
            truncation=tf.constant(1.0),
        )["images"].numpy()
    # Other batch sizes can round otherwise, by one of 256 gray levels.
    difference = np.abs(images.astype(int) - expected.astype(int)).max()
    if difference > 1:
        yield Finding(
            "training",
            "failure",
            f"the exported generator's images differ from the run's by {difference} of "
            "256 gray levels",
            "Sample with python -m sagan_tf sample, not with the SavedModel",
        )
        return
    seconds = time.monotonic() - start
    yield Finding(
        "training", "ok", f"3 steps, export and reload agree, {seconds:.0f} s"
    )


def _find_config(
    dataset: str | None, data_dir: str | None, workdir: str | None
) -> Config:
    """Returns the settings that training would have with these flags."""
    base = workdir
    if dataset is None:
        try:
            load_config(workdir or "")
        except UserError:  # no run, or a damaged one, which has a line of its own
            dataset, base = "folder", None
    given = {"dataset": dataset, "data_dir": data_dir, "workdir": base}
    values = flags.FlagValues()
    define_config_flags(values)
    parse_flags(values, [f"--{name}={value}" for name, value in given.items() if value])
    return config_from_flags(values)


def _find_cache() -> Path:
    from sagan_tf.evaluation.cache import cache_dir

    return cache_dir()


def _find_damage(path: Path) -> str:
    """Returns what is wrong with a checkpoint, or `""`."""
    import tensorflow as tf

    index = path.with_name(f"{path.name}.index")
    data = next(path.parent.glob(f"{path.name}.data-*"), None)
    if data is None:
        # A training deletes the index first.
        return f"{path} has no data file" if index.exists() else ""
    name = ""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in sorted(reader.get_variable_to_shape_map()):
            reader.get_tensor(name)
    except Exception:  # damaged files fail in many ways
        if not index.exists():
            return ""
        if not name:
            return f"{index} is damaged"
        return f"{data} is damaged at {name.removesuffix(_SUFFIX)}"
    return ""


def _tensorflow_works() -> bool:
    with _quiet(), contextlib.suppress(Exception):
        start_tensorflow()
        importlib.import_module("keras")
        check_backend()
        return True
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what checks print and log."""
    former = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(former)


def _describe(error: Exception) -> str:
    """Returns a mistake's message, or the type and first line of another exception."""
    if isinstance(error, UserError):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.300}".removesuffix(": ")


def _compare(name: str, found: str, required: str, remedy: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(required).contains(found, prereleases=True):
        return Finding(name, "ok", found)
    return Finding(name, "failure", f"{found}, but {required} is required", remedy)


def _requirements() -> dict[str, Any]:
    """Returns the requirements of this package, as `packaging` parses them, by name."""
    from packaging.requirements import Requirement

    project = _project()
    if project.exists():
        text = read_text(project.with_name("requirements.txt"))
        lines = [line for line in text.splitlines() if line[:1].isalpha()]
    else:
        lines = importlib.metadata.requires("sagan_tf") or []
    parsed = [Requirement(line) for line in lines]
    return {
        requirement.name: requirement
        for requirement in parsed
        if not (requirement.marker and "extra" in str(requirement.marker))
    }


def _required_python() -> str:
    import tomllib  # Python 3.10 does not have it: then this check fails

    project = _project()
    if project.exists():
        return tomllib.loads(read_text(project))["project"]["requires-python"]
    return importlib.metadata.metadata("sagan_tf")["Requires-Python"]


def _project() -> Path:
    """Returns the file beside the package of a checkout; an installed one has none."""
    return Path(__file__).parents[1] / "pyproject.toml"


def _relative_error(actual: Any, expected: Any) -> float:
    import numpy as np

    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def _agreement(name: str, error: float, bound: float, remedy: str) -> Finding:
    found = f"differs from float32 by {error:.2g}"
    if error <= bound:  # false for NaN
        return Finding(name, "ok", f"{found}; up to {bound:g} is right")
    return Finding(name, "failure", f"{found}, more than {bound:g}", remedy)


def _count_cpus() -> str:
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return _count(count or 1, "CPU core")


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"


def _shorten(names: list[str]) -> str:
    more = f"; and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more
