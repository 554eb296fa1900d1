"""The settings of a run: one frozen dataclass whose fields own every fact."""

import dataclasses
import difflib
import json
import math
import os
import runpy
import shlex
import traceback
import types
import typing
from pathlib import Path
from typing import Any

from sagan_tf.errors import UserError
from sagan_tf.files import find_bundled, read_json, write_text
from sagan_tf.text import suggest


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`. Infinity and NaN are in no range.

    Args:
        low: Float or None, the least number.
        high: Float or None, the greatest number.
        open_low: Boolean, whether `low` itself is excluded.
        open_high: Boolean, whether `high` itself is excluded.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        above = value > low if self.open_low else value >= low
        below = value < high if self.open_high else value <= high
        # Python's integers can be larger than any float.
        return -(2**1023) < value < 2**1023 and above and below

    def __str__(self) -> str:
        if self.high is not None:
            left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
            return f"in {left}{self.low}, {self.high}{right}"
        if self.low is not None:
            return f"{'above' if self.open_low else 'at least'} {self.low}"
        return "finite"


# Extractors with a name; every other one is a path or address, which is loaded.
EXTRACTORS = ("auto", "classifier", "inception")
# What a config that was read from a file has before the path of a model.
_FROM_FILE = "named in config.json: "

# What a run directory and exported networks have beside config.json.
RUN_CONTENTS = ("checkpoints", "logs", "networks.npz")
# Where what is made with networks of the package is written.
PRETRAINED_OUTPUTS = "runs/pretrained"
_NAMED = 5  # runs that a message names
_COUNT = Range(1)
_SHARE = Range(0, 1)
_DECAY = Range(0, 1, open_high=True)
_POSITIVE = Range(0, open_low=True)


def _setting(
    default: Any,
    group: str,
    help: str,
    *,
    range: Range | None = None,
    choices: tuple[str, ...] | None = None,
    resume: bool = False,
) -> Any:
    """A field with everything that is known about it.

    Args:
        default: Its default.
        group: The heading that `--help` lists it under.
        help: One or two sentences for `--help`.
        range: The numbers it can be.
        choices: The texts it can be.
        resume: Boolean, whether it may differ when a run is resumed.
    """
    metadata = {
        "group": group,
        "help": help,
        "range": range,
        "choices": choices,
        "resume": resume,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run.

    Each field is a flag of `train`, documented by its help text. A field that a
    network's constructor takes has the argument's name, after the prefix `generator_`
    or `discriminator_` if it is for one network only. The defaults are those of the
    64 px SAGAN, heykeetae/Self-Attention-GAN (`configs/celeb_a.py`).

    Raises:
        UserError: if a value has the wrong type or is out of its range.

    Example:

    ```python
    sagan_tf.train(Config(dataset="digits", image_size=32, channels=1, steps=100))
    ```
    """

    dataset: str = _setting(
        "digits",
        "Data",
        '"digits" (built in), "folder" (images in --data_dir), or the name of a '
        "TensorFlow Datasets image set. On the command line, also a preset's name.",
    )
    data_dir: str | None = _setting(
        None,
        "Data",
        "Folder of images, zip or tar archive of them, or folder of prepared "
        "TensorFlow Datasets.",
        resume=True,
    )
    split: str = _setting("train", "Data", "Split of the TensorFlow Datasets set.")
    crop_size: int | None = _setting(
        None,
        "Data",
        "Size in pixels of a central square crop made before resizing. By default the "
        "largest central square.",
        range=_COUNT,
    )
    image_size: int = _setting(
        64,
        "Data",
        "Image size in pixels. Which sizes work depends on the networks.",
        range=_COUNT,
    )
    channels: int = _setting(3, "Data", "Image channels: 1, 3 or 4.", range=_COUNT)

    architecture: str = _setting(
        "dcgan",
        "Networks",
        "dcgan: 64 px SAGAN; resnet: the paper's networks; infogan: small networks "
        "for MNIST.",
        choices=("dcgan", "resnet", "infogan"),
    )
    conditional: bool = _setting(
        False, "Networks", "Condition the networks on classes."
    )
    classes: tuple[str, ...] = _setting(
        (),
        "Networks",
        "Class names in the order of their labels. The default is those of the data.",
    )
    width: int = _setting(
        64, "Networks", "Base channels of the networks.", range=_COUNT
    )
    discriminator_width: int | None = _setting(
        None,
        "Networks",
        "Base channels of the discriminator. The default is --width.",
        range=_COUNT,
    )
    latent_dim: int = _setting(
        128, "Networks", "Length of a latent vector.", range=_COUNT
    )
    latent_distribution: str = _setting(
        "normal",
        "Networks",
        "Distribution of the latents. uniform is in [-1, 1); truncated is normal, "
        "redrawn beyond 2.",
        choices=("normal", "uniform", "truncated"),
    )
    generator_attention_resolutions: tuple[int, ...] | None = _setting(
        None,
        "Networks",
        "Resolutions of the generator's feature maps with self-attention. The default "
        "depends on the networks.",
    )
    discriminator_attention_resolutions: tuple[int, ...] = _setting(
        (8, 4),
        "Networks",
        "Resolutions of the discriminator's feature maps with self-attention.",
    )
    generator_spectral_normalization: bool = _setting(
        True, "Networks", "Spectral normalization in the generator."
    )
    discriminator_spectral_normalization: bool = _setting(
        True, "Networks", "Spectral normalization in the discriminator."
    )
    spectral_norm_axis: str = _setting(
        "output",
        "Networks",
        "Kernel axis that spectral normalization of transposed convolutions uses. "
        "Checkpoints of heykeetae's PyTorch code need input.",
        choices=("output", "input"),
    )
    spectral_norm_epsilon: float = _setting(
        1e-12, "Networks", "Epsilon of spectral normalization.", range=Range(0)
    )
    attention: str = _setting(
        "pooled",
        "Networks",
        "Keys and values of attention: max-pooled 2x2, or of full resolution. residual "
        "is a residual block of the same size instead, for comparison. For none, give "
        "--generator_attention_resolutions= --discriminator_attention_resolutions=.",
        choices=("pooled", "full", "residual"),
    )
    initializer: str = _setting(
        "xavier",
        "Networks",
        "Kernel initializer. normal is N(0, 0.02).",
        choices=("xavier", "orthogonal", "normal"),
    )
    reflection_padding: bool = _setting(
        False, "Networks", "Pad 3x3 convolutions by reflection instead of zeros."
    )
    discriminator_slope: float = _setting(
        0.0,
        "Networks",
        "Negative slope of the discriminator's ReLUs.",
        range=_SHARE,
    )
    normalize_to_image: bool = _setting(
        True, "Networks", "Spectral normalization of the generator's last convolution."
    )
    batch_norm_momentum: float = _setting(
        0.9, "Networks", "Momentum of batch normalization.", range=_SHARE
    )
    last_batch_norm_momentum: float | None = _setting(
        None,
        "Networks",
        "Momentum of the generator's last batch normalization. The default is "
        "--batch_norm_momentum.",
        range=_SHARE,
    )
    batch_norm_epsilon: float = _setting(
        1e-5, "Networks", "Epsilon of batch normalization.", range=_POSITIVE
    )
    synchronized_batch_norm: bool = _setting(
        False, "Networks", "Share batch statistics among all devices."
    )
    conditional_spectral_normalization: bool = _setting(
        False,
        "Networks",
        "Spectral normalization of the gains and shifts of conditional batch "
        "normalization.",
    )

    horizontal_flip: bool = _setting(
        False, "Data", "Random horizontal flip of real images, p = 0.5."
    )
    augmentation: tuple[str, ...] = _setting(
        (),
        "Training",
        "DiffAugment for small data sets.",
        choices=("color", "translation", "cutout"),
    )
    batch_size: int = _setting(
        64, "Training", "Images per batch, over all devices.", range=_COUNT
    )
    accumulation_steps: int = _setting(
        1,
        "Training",
        "Gradient accumulation steps: micro-batches per batch, to save memory. Each "
        "micro-batch has its own batch statistics and augmentations.",
        range=_COUNT,
    )
    steps: int = _setting(
        1_000_000,
        "Training",
        "Training steps (generator updates) in total.",
        range=_COUNT,
        resume=True,
    )
    loss: str = _setting(
        "hinge",
        "Training",
        "Adversarial loss.",
        choices=("hinge", "non_saturating", "lsgan", "wgan"),
    )
    discriminator_steps: int = _setting(
        1, "Training", "Discriminator updates per step.", range=_COUNT
    )
    gradient_penalty: str | None = _setting(
        None,
        "Training",
        "Penalty on the discriminator's gradient.",
        choices=("gp", "lp", "dragan", "r1"),
    )
    gradient_penalty_weight: float = _setting(
        10.0, "Training", "Weight of the gradient penalty.", range=Range(0)
    )
    gradient_penalty_interval: int = _setting(
        1,
        "Training",
        "Compute the penalty every k-th step and scale it by k (lazy regularization).",
        range=_COUNT,
    )
    penalty_with_spectral_normalization: bool = _setting(
        False,
        "Training",
        "Allow a gradient penalty together with spectral normalization of the "
        "discriminator.",
    )
    generator_learning_rate: float = _setting(
        1e-4, "Training", "Learning rate of the generator's Adam.", range=Range(0)
    )
    discriminator_learning_rate: float = _setting(
        4e-4, "Training", "Learning rate of the discriminator's Adam.", range=Range(0)
    )
    decay_start_step: int | None = _setting(
        None,
        "Training",
        "Step from which both learning rates decay linearly, to 0 at --decay_end_step.",
        range=Range(0),
    )
    decay_end_step: int | None = _setting(
        None, "Training", "See --decay_start_step.", range=_COUNT
    )
    beta_1: float = _setting(
        0.0, "Training", "beta_1 of Adam, both networks.", range=_DECAY
    )
    beta_2: float = _setting(
        0.9, "Training", "beta_2 of Adam, both networks.", range=_DECAY
    )
    adam_epsilon: float = _setting(
        1e-8, "Training", "Epsilon of Adam, both networks.", range=_POSITIVE
    )
    ema_decay: float = _setting(
        0.999, "Training", "Decay of the EMA generator.", range=_DECAY
    )
    ema_start_step: int = _setting(
        0,
        "Training",
        "Before this step the EMA copies the generator. If positive, it replaces the "
        "default warm-up.",
        range=Range(0),
    )
    ema_warm_up: bool = _setting(
        True,
        "Training",
        "Lower the EMA's decay in the first steps, to forget the initial weights. "
        "--init_from turns it off, and sets --ema_start_step=0.",
    )
    precision: str = _setting(
        "float32",
        "Training",
        "mixed_bfloat16 computes in half precision where the hardware has it; "
        "mixed_float16 also on GPUs without bfloat16, with loss scaling.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    max_skipped_steps: int = _setting(
        50,
        "Training",
        "With mixed_float16: stop after so many steps in a row whose gradients were "
        "not finite.",
        range=_COUNT,
        resume=True,
    )
    jit_compile: bool = _setting(
        False,
        "Training",
        "Compile the training step with XLA. A resumed run is then equal only up to "
        "XLA's rounding.",
    )
    deterministic: bool = _setting(
        True,
        "Training",
        "Use operations that always sum in the same order, so that a resumed run is "
        "equal bit for bit. Without them a GPU may be faster.",
        resume=True,
    )
    seed: int = _setting(
        0,
        "Training",
        "Random seed of weights, latents and data order.",
        range=Range(0, 2**31 - 1),
    )

    workdir: str | None = _setting(
        None,
        "Run",
        "Run directory. The default is runs/ and the preset's name.",
        resume=True,
    )
    strategy: str = _setting(
        "auto",
        "Run",
        "Devices to train on. none: one; mirrored: all GPUs of this machine; "
        "multi_worker: those of several machines; tpu: those of a TPU machine; auto: "
        "multi_worker in a cluster, mirrored with several GPUs.",
        choices=("auto", "none", "mirrored", "multi_worker", "tpu"),
        resume=True,
    )
    steps_per_execution: int = _setting(
        1,
        "Run",
        "Steps that the devices run before losses and signals are checked again. "
        "More than 1 helps fast devices with small networks.",
        range=_COUNT,
        resume=True,
    )
    log_interval: int = _setting(
        50,
        "Run",
        "Steps between rows of logs/metrics.csv. The last step has one, too.",
        range=_COUNT,
        resume=True,
    )
    sample_interval: int = _setting(
        500, "Run", "Steps between grids in samples/.", range=_COUNT, resume=True
    )
    checkpoint_interval: int = _setting(
        500, "Run", "Steps between checkpoints.", range=_COUNT, resume=True
    )
    keep_checkpoints: int = _setting(
        3,
        "Run",
        "How many of the last checkpoints to keep.",
        range=_COUNT,
        resume=True,
    )
    keep_checkpoints_every: int | None = _setting(
        None,
        "Run",
        "Also keep the checkpoints at its multiples. The default is none.",
        range=_COUNT,
        resume=True,
    )
    num_samples: int = _setting(
        64, "Run", "Images in a grid.", range=_COUNT, resume=True
    )
    evaluation_interval: int | None = _setting(
        None,
        "Run",
        "Steps between evaluations. Scores go to logs/evaluation.csv, and the "
        "checkpoint with the best score is kept. The default is none.",
        range=_COUNT,
        resume=True,
    )
    evaluation_metric: str = _setting(
        "frechet",
        "Run",
        "Metric of these evaluations: Fréchet distance (FID with Inception) or kernel "
        "distance (KID).",
        choices=("frechet", "kernel"),
        resume=True,
    )
    evaluation_images: int = _setting(
        2000,
        "Run",
        "Generated images per evaluation.",
        range=Range(2),
        resume=True,
    )
    evaluation_extractor: str = _setting(
        "classifier",
        "Run",
        "Feature extractor of these evaluations; see evaluate --help. The default is "
        "the quick one. That of the command evaluate is auto.",
        resume=True,
    )

    def __post_init__(self) -> None:
        if self.workdir is None:
            name = str(self.dataset).replace("/", "_")
            object.__setattr__(self, "workdir", f"runs/{name}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # Python files and JSON may give lists
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            _check_value(field, value)
        if self.batch_size % self.accumulation_steps:
            raise UserError(
                f"--batch_size={self.batch_size} must be a multiple of "
                f"--accumulation_steps={self.accumulation_steps}"
            )
        start, end = self.decay_start_step, self.decay_end_step
        if (start is None) != (end is None) or (start or 0) >= (end or math.inf):
            raise UserError(
                "--decay_start_step and --decay_end_step go together, the first one "
                f"lower. Received: {start} and {end}"
            )

    @property
    def run_dir(self) -> Path:
        """The run directory."""
        return Path(str(self.workdir))

    @property
    def num_classes(self) -> int:
        """How many classes the networks are conditioned on; 0 for none."""
        return len(self.classes) if self.conditional else 0

    def to_json(self) -> str:
        """Returns all settings but the run directory as JSON text."""
        values = dataclasses.asdict(self)
        del values["workdir"]
        values["evaluation_extractor"] = format_extractor(self)
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_values(cls, values: Any, workdir: str | Path) -> "Config":
        """Returns the settings that `to_json` wrote, for the run in `workdir`.

        Args:
            values: What `json.loads` made of the text.
            workdir: Run directory.

        Raises:
            UserError: if they are not settings, or have values that flags cannot have.
        """
        if not isinstance(values, dict):
            raise UserError("It holds no settings")
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        unknown.discard("workdir")  # that is where the file was found
        if unknown:
            raise UserError(
                "It has settings that this version does not know: "
                f"{', '.join(sorted(unknown))}"
            )
        values = {**values, "workdir": str(workdir)}
        metric = values.get("evaluation_metric")
        if metric in ("fid", "kid"):  # their names in version 0.1
            values["evaluation_metric"] = {"fid": "frechet", "kid": "kernel"}[metric]
        extractor = values.get("evaluation_extractor", "classifier")
        if isinstance(extractor, str) and extractor not in EXTRACTORS:
            values["evaluation_extractor"] = _FROM_FILE + extractor
        return cls(**values)

    def differences(self, other: "Config") -> dict[str, tuple[Any, Any]]:
        """Returns the settings that differ and may not when a run is resumed.

        Args:
            other: `Config`.

        Returns:
            Dict from names to pairs of this config's value and the other's.
        """
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if not field.metadata["resume"]
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def format_extractor(config: Config) -> str:
    """Returns the feature extractor as a flag names it, trusted or not."""
    return config.evaluation_extractor.removeprefix(_FROM_FILE)


def check_trusted(extractor: str) -> None:
    """Raises `UserError` if a config file, not a flag, names a model to load.

    A model can execute code. A run directory may come from somebody else.
    """
    if extractor.startswith(_FROM_FILE):
        path = extractor.removeprefix(_FROM_FILE)
        raise UserError(
            f"config.json names {path} as feature extractor. Models can execute code, "
            "so they are loaded only if a flag names them. If you trust it, add "
            + shlex.quote(f"--evaluation_extractor={path}")
        )


def check_decay(config: Config) -> None:
    """Raises `UserError` if the last steps would have learning rates of 0."""
    start, end = config.decay_start_step, config.decay_end_step
    if start is None or end is None or config.steps <= end:
        return
    scaled = start * config.steps // end
    raise UserError(
        f"--steps={config.steps} is beyond --decay_end_step={end}, from which learning "
        f"rates are 0. To train a new run so long, add --decay_start_step={scaled} "
        f"--decay_end_step={config.steps}"
    )


def value_type(field: dataclasses.Field) -> tuple[Any, bool, bool]:
    """Returns the type of a setting's values.

    Returns:
        - The type: bool, int, float or str; of a tuple's elements, if it is a tuple.
        - Boolean, whether it is a tuple.
        - Boolean, whether it can be None.
    """
    options: tuple[Any, ...] = (field.type,)
    if isinstance(field.type, types.UnionType):
        options = typing.get_args(field.type)
    kind = options[0]
    elements = typing.get_args(kind)
    return (elements or (kind,))[0], bool(elements), types.NoneType in options


_TYPE_NAMES = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def _check_value(field: dataclasses.Field, value: Any) -> None:
    kind, is_tuple, is_optional = value_type(field)
    if value is None and is_optional:
        return
    name, limits = f"--{field.name}", field.metadata["range"]
    choices = field.metadata["choices"]
    for one in value if is_tuple and isinstance(value, tuple) else (value,):
        # Python counts booleans as integers, and integers are valid floats.
        valid = type(one) is kind or (kind is float and type(one) is int)
        if not valid or is_tuple != isinstance(value, tuple):
            expected = _TYPE_NAMES[kind]
            raise UserError(
                f"{name} takes {'a list, each ' * is_tuple}{expected}. "
                f"Received: {value!r:.200}"
            )
        if kind is int and abs(one) >= 2**31:
            raise UserError(f"{name} must be below 2**31, a longer number was received")
        if kind is str:
            _check_text(name, one)
        if limits is not None and one not in limits:
            raise UserError(f"{name} must be {limits}. Received: {one!r:.200}")
        if choices is not None and one not in choices:
            raise UserError(
                f"{name} must be one of {', '.join(choices)}. Received: {one:.200}. "
                f"{field.metadata['help']}"
            )


def _check_text(name: str, text: str) -> None:
    try:
        valid = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        valid = False
    if not valid:
        raise UserError(
            f"{name} has characters that no name can have. Received: {text!r:.200}"
        )


def load_config(workdir: str | Path) -> Config:
    """Reads the config of the run in `workdir`.

    Raises:
        UserError: if there is no run, or the file is damaged.
    """
    path = Path(workdir) / "config.json"
    if not path.exists() and (Path(workdir) / "checkpoints").is_dir():
        raise UserError(
            f"The run in {workdir} has lost its config.json, so its settings are "
            "unknown. Restore the file from a copy"
        )
    if not path.exists():
        raise UserError(
            f"There is no run in {Path(workdir)}: {path} is missing. "
            f"{_suggest_run(Path(workdir))}"
        )
    values = read_json(path)
    try:
        return Config.from_values(values, workdir)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _suggest_run(workdir: Path) -> str:
    """Returns which run may be meant instead, or how to train one there."""
    runs = _find_runs(workdir)
    if runs:
        more = ", ..." if len(runs) > _NAMED else ""
        return f"It holds runs: {', '.join(map(str, runs[:_NAMED]))}{more}"
    known = _find_runs(workdir.parent)
    if workdir.parent in (Path("."), Path("pretrained")):
        bundled = _find_runs(find_bundled("pretrained"))
        known += [Path("pretrained", path.name) for path in bundled]
    if workdir in known:
        return (
            "These networks come with the package. To start a run from them: python -m "
            f"sagan_tf train --init_from={workdir} --workdir=runs/mine"
        )
    close = difflib.get_close_matches(workdir.name, [path.name for path in known], n=1)
    if close:
        meant = next(path for path in known if path.name == close[0])
        return f"Did you mean {meant}?"
    if workdir.is_file() or any(workdir.glob("*")):
        return "Give the directory of a run, such as runs/digits"
    flag = shlex.quote(f"--workdir={workdir}")
    return f"Train one with: python -m sagan_tf train --dataset=digits {flag}"


def _find_runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/config.json"))


def save_config(config: Config) -> None:
    """Writes `config.json` to the run directory."""
    write_text(config.run_dir / "config.json", config.to_json())


def presets_dir() -> Path:
    """Returns the folder of the presets: `configs/`, or where it was installed."""
    return find_bundled("configs")


def preset_names() -> list[str]:
    """Returns the names of all presets, sorted."""
    names = (path.stem for path in presets_dir().glob("*.py"))
    return sorted(name for name in names if not name.startswith("_"))


def load_preset(preset: str | Path) -> Config:
    """Loads a preset.

    Args:
        preset: A preset's name, such as `"mnist"`, or the path of a Python file with a
            function `get_config()`.

    Raises:
        UserError: if there is no such preset or file, or it has no `get_config` that
            returns a `Config`.

    Example:

    ```python
    config = dataclasses.replace(load_preset("mnist"), steps=10_000)
    ```
    """
    path = Path(preset)
    if str(preset) in preset_names():
        path = presets_dir() / f"{preset}.py"
    if not path.is_file():
        hint = suggest(path.name, preset_names())
        raise UserError(
            f"There is no config file {path}. {hint}Give a Python file with "
            f"get_config(), or a preset: {', '.join(preset_names())}"
        )
    try:
        values = runpy.run_path(str(path))
        config = values["get_config"]() if "get_config" in values else None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    # Whatever the file does: it is the user's own program.
    except (Exception, SystemExit) as error:
        lines = traceback.extract_tb(error.__traceback__)
        numbers = [line.lineno for line in lines if line.filename == str(path)]
        where = f"{path}, line {numbers[-1]}" if numbers else str(path)
        raise UserError(f"{where} failed: {type(error).__name__}: {error}") from error
    if "get_config" not in values:
        raise UserError(f"{path} has no function get_config()")
    if not isinstance(config, Config):
        raise UserError(
            f"get_config() in {path} must return a sagan_tf.Config. Received: "
            f"{config!r:.200}"
        )
    return config
