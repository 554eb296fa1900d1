"""The settings of a run: one frozen dataclass, its flags, its file."""

import dataclasses
import difflib
import importlib.util
import json
import os
from pathlib import Path

from absl import flags

from sagan_tf.errors import UserError

# Where things are and how long to train, as against what is trained: these may
# change when a run goes on.
CHANGEABLE = (
    *("steps", "data_dir", "workdir", "evaluation_interval", "evaluation_metric"),
    *("evaluation_images", "evaluation_extractor"),
)


def _setting(default, text):
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes, and where it is kept.

    Each field is a flag of `train.py`; its meaning is in the flag's help text. The
    defaults are the 64 px seed's (`configs/celeb_a.py`).
    """

    dataset: str = _setting(
        "digits",
        '"digits" (built in), "folder" (of images, in data_dir), or the name of a '
        "TensorFlow Datasets image set.",
    )
    data_dir: str | None = _setting(
        None, "The folder of images, or where TensorFlow Datasets are kept."
    )
    workdir: str | None = _setting(
        None, "Folder of the run; by default runs/ and the preset's name."
    )
    split: str = _setting("train", "Split of the TensorFlow Datasets set.")
    crop_size: int | None = _setting(
        None, "Side in pixels of a centre crop made before resizing; none by default."
    )
    image_size: int = _setting(
        64,
        "Side of the images in pixels: 32, 64, 128 or 256; with resnet 512 too, with "
        "infogan any multiple of 4.",
    )
    channels: int = _setting(3, "Image channels: 1, 3 or 4.")

    architecture: str = _setting(
        "dcgan",
        "The networks: dcgan; resnet, the paper's; or infogan, those of an MNIST net.",
    )
    conditional: bool = _setting(False, "Condition the networks on classes (resnet).")
    classes: tuple[str, ...] = _setting(
        (), "Names of the classes, in order of their labels; by default the data's."
    )
    width: int = _setting(64, "Channels of each network's largest map.")
    discriminator_width: int | None = _setting(
        None, "Those of the discriminator's; by default --width."
    )
    latent_dim: int = _setting(128, "Length of a latent vector.")
    latent_distribution: str = _setting(
        "normal",
        "Distribution of the latents: normal, uniform in [-1, 1), or truncated, normal "
        "within 2.",
    )
    generator_attention_resolutions: tuple[int, ...] | None = _setting(
        None,
        "Resolutions with self-attention in the generator; by default 16 and, above "
        "32 px, 32; with resnet 32, and 16 at 32 px.",
    )
    discriminator_attention_resolutions: tuple[int, ...] = _setting(
        (8, 4), "Resolutions with self-attention in the discriminator."
    )
    generator_spectral_normalization: bool = _setting(
        True, "Spectral normalization in the generator."
    )
    discriminator_spectral_normalization: bool = _setting(
        True, "Spectral normalization in the discriminator."
    )
    spectral_norm_axis: str = _setting(
        "output",
        "Kernel axis over which transposed convolutions are normalized: output, or "
        "input as in checkpoints of the PyTorch seed.",
    )
    spectral_norm_epsilon: float = _setting(
        1e-12, "Spectral normalization's epsilon (resnet)."
    )
    attention: str = _setting(
        "pooled", "Attention's keys and values: pooled 2x2, or full (resnet)."
    )
    initializer: str = _setting(
        "xavier", "Start of the kernels: xavier, orthogonal or normal (resnet)."
    )
    reflection_padding: bool = _setting(
        False, "Mirror images at the border instead of zeros (resnet)."
    )
    discriminator_slope: float = _setting(
        0.0, "Slope of the discriminator's ReLUs below 0 (resnet)."
    )
    normalize_to_image: bool = _setting(
        True, "Spectral normalization of the generator's last convolution (resnet)."
    )
    batch_norm_momentum: float = _setting(
        0.9, "What moving statistics keep of themselves in a step (resnet)."
    )
    last_batch_norm_momentum: float | None = _setting(
        None, "The generator's last normalization's, if another (resnet)."
    )
    batch_norm_epsilon: float = _setting(
        1e-5, "Batch normalization's epsilon (resnet)."
    )
    synchronized_batch_norm: bool = _setting(
        False, "Batch statistics over all devices together (resnet)."
    )
    conditional_spectral_normalization: bool = _setting(
        False, "Spectral normalization of conditional gains and shifts (resnet)."
    )

    horizontal_flip: bool = _setting(False, "Mirror every other image, at random.")
    augmentation: tuple[str, ...] = _setting(
        (), "DiffAugment for small sets: color, translation, cutout."
    )
    batch_size: int = _setting(64, "Images in a batch, over all devices.")
    accumulation_steps: int = _setting(
        1,
        "Parts in which a batch is worked through, to need less memory; each has batch "
        "statistics and augmentations of its own.",
    )
    steps: int = _setting(1_000_000, "Generator updates in all.")
    loss: str = _setting("hinge", "hinge, non_saturating, lsgan or wgan.")
    discriminator_steps: int = _setting(1, "Discriminator updates a step.")
    gradient_penalty: str | None = _setting(
        None, "Penalty on the discriminator's gradient: gp, lp, dragan or r1."
    )
    gradient_penalty_weight: float = _setting(10.0, "The penalty's weight.")
    gradient_penalty_interval: int = _setting(
        1, "Take the penalty in every k-th step only, k times."
    )
    penalty_with_spectral_normalization: bool = _setting(
        False, "Allow both in the discriminator; each is meant to replace the other."
    )
    generator_learning_rate: float = _setting(1e-4, "Adam's rate, generator.")
    discriminator_learning_rate: float = _setting(4e-4, "Adam's rate, discriminator.")
    decay_start_step: int | None = _setting(
        None, "Step from which both rates fall linearly, to 0 at decay_end_step."
    )
    decay_end_step: int | None = _setting(None, "See decay_start_step.")
    beta_1: float = _setting(0.0, "Adam's beta_1, both networks.")
    beta_2: float = _setting(0.9, "Adam's beta_2, both networks.")
    adam_epsilon: float = _setting(1e-8, "Adam's epsilon, both networks.")
    ema_decay: float = _setting(
        0.999, "Decay of the generator's moving average, which samples are drawn from."
    )
    ema_start_step: int = _setting(
        0, "Step before which the average is the generator itself."
    )
    precision: str = _setting(
        "float32", "float32, or mixed_bfloat16 for half-precision arithmetic."
    )
    jit_compile: bool = _setting(
        False,
        "Compile the training step with XLA; a run that goes on is then exact only as "
        "far as XLA's sums are.",
    )
    seed: int = _setting(0, "Seed of weights, latents and the order of the data.")

    log_interval: int = _setting(50, "Steps between rows of logs/metrics.csv.")
    sample_interval: int = _setting(500, "Steps between grids in samples/.")
    checkpoint_interval: int = _setting(500, "Steps between checkpoints.")
    num_samples: int = _setting(64, "Images in a grid.")
    evaluation_interval: int | None = _setting(
        None,
        "Steps between figures in logs/evaluation.csv; the checkpoint of the best one "
        "is kept. By default none are computed.",
    )
    evaluation_metric: str = _setting("fid", "The figure: fid or kid.")
    evaluation_images: int = _setting(2000, "Generated images that it is of.")
    evaluation_extractor: str = _setting(
        "classifier", "Network that it is computed with; see evaluate --help."
    )

    def __post_init__(self):
        # Python files and JSON both may give lists.
        for name in ("generator", "discriminator"):
            name += "_attention_resolutions"
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("classes", "augmentation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.workdir is None:
            name = self.dataset.replace("/", "_")
            object.__setattr__(self, "workdir", f"runs/{name}")
        positive = (
            *("image_size", "width", "latent_dim", "batch_size", "steps"),
            *("discriminator_steps", "log_interval", "sample_interval"),
            *("checkpoint_interval", "num_samples"),
            *("accumulation_steps", "gradient_penalty_interval", "evaluation_images"),
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise UserError(
                    f"--{name} must be at least 1. Received: {getattr(self, name)}"
                )
        for name in ("crop_size", "discriminator_width", "evaluation_interval"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(
                    f"--{name} must be at least 1. Received: {getattr(self, name)}"
                )
        if self.evaluation_metric not in ("fid", "kid"):
            raise UserError(
                "--evaluation_metric must be fid or kid. "
                f"Received: {self.evaluation_metric}"
            )
        if not 0 <= self.seed < 2**31:
            raise UserError(
                f"--seed must be from 0 to {2**31 - 1}. Received: {self.seed}"
            )
        if self.batch_size % self.accumulation_steps:
            raise UserError(
                f"--batch_size={self.batch_size} cannot be cut into "
                f"--accumulation_steps={self.accumulation_steps} equal parts"
            )
        decay = (self.decay_start_step, self.decay_end_step)
        if decay != (None, None) and (None in decay or not 0 <= decay[0] < decay[1]):
            raise UserError(
                "--decay_start_step and --decay_end_step go together, the first one "
                f"lower. Received: {decay[0]} and {decay[1]}"
            )
        if self.precision not in ("float32", "mixed_bfloat16"):
            raise UserError(
                "--precision must be float32 or mixed_bfloat16. "
                f"Received: {self.precision}"
            )

    @property
    def num_classes(self):
        """How many classes the networks are conditioned on; 0 for none."""
        return len(self.classes) if self.conditional else 0

    def to_json(self):
        """The settings as JSON text, all but the place of the run itself."""
        values = dataclasses.asdict(self)
        del values["workdir"]
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text, workdir):
        """The settings that `to_json` wrote, for the run in `workdir`."""
        values = json.loads(text)
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise UserError(
                f"{workdir}/config.json has settings this version does not know: "
                f"{', '.join(sorted(unknown))}"
            )
        return cls(**values, workdir=str(workdir))

    def differences(self, other):
        """Lists, as text, the settings in which two configs may not differ."""
        return [
            f"{field.name}: {getattr(self, field.name)} -> {getattr(other, field.name)}"
            for field in dataclasses.fields(self)
            if field.name not in CHANGEABLE
            and getattr(self, field.name) != getattr(other, field.name)
        ]


def define_flags(flag_values=flags.FLAGS):
    """Defines one absl flag a field of `Config`, unset by default, and `--config`.

    An unset flag leaves a preset's value alone.

    Args:
        flag_values: absl `FlagValues` to define them in; by default the global ones.
    """
    flags.DEFINE_string(
        "config",
        None,
        "Python file with get_config(), instead of --dataset.",
        flag_values=flag_values,
    )
    for field in dataclasses.fields(Config):
        name, text = field.name, field.metadata["help"]
        if field.type is bool:
            define = flags.DEFINE_bool
        elif field.type in (int, int | None):
            define = flags.DEFINE_integer
        elif field.type in (float, float | None):
            define = flags.DEFINE_float
        elif field.type in (str, str | None):
            define = flags.DEFINE_string
        else:
            define, text = flags.DEFINE_list, f"{text} Comma-separated."
        define(name, None, text, flag_values=flag_values)


def config_from_flags(configs_dir, flag_values=flags.FLAGS):
    """Builds a run's config: preset or saved run, with the flags' values over it.

    Args:
        configs_dir: Folder of the presets, `NAME.py` with `get_config()`.
        flag_values: The parsed flags of `define_flags`.

    Returns:
        A `Config` with `workdir` set.

    Raises:
        UserError: if there is no such preset, or a value is wrong.
    """
    given = {name: flag_values[name].value for name in flag_values}
    overrides = {
        field.name: given[field.name]
        for field in dataclasses.fields(Config)
        if given[field.name] is not None
    }
    for name, value in overrides.items():
        if name.endswith("_resolutions"):
            overrides[name] = _parse_integers(name, value)

    # Whoever looks at the run later may do so from another folder.
    data_dir = overrides.get("data_dir")
    if data_dir and "://" not in data_dir:
        overrides["data_dir"] = os.path.abspath(os.path.expanduser(data_dir))

    saved = Path(overrides.get("workdir") or "") / "config.json"
    if given["config"]:
        config = load_preset(given["config"])
        name = Path(given["config"]).stem
    elif "dataset" in overrides or not ("workdir" in overrides and saved.exists()):
        name = overrides.pop("dataset", "digits")
        config = _find_preset(Path(configs_dir), name)
    else:
        config, name = load_config(overrides["workdir"]), None
    overrides.setdefault("workdir", f"runs/{str(name).replace('/', '_')}")
    return dataclasses.replace(config, **overrides)


def load_config(workdir):
    """Reads the config of the run in `workdir`.

    Raises:
        UserError: if there is no run.
    """
    path = Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(
            f"There is no run in {workdir}: {path} is missing. "
            "Train one with: python train.py"
        )
    return Config.from_json(path.read_text(), workdir)


def save_config(config):
    """Writes `config.json` into the config's workdir, in one piece."""
    workdir = Path(config.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    partial = workdir / "config.json.partial"
    partial.write_text(config.to_json())
    os.replace(partial, workdir / "config.json")


def load_preset(path):
    """Returns what `get_config()` of the Python file `path` gives.

    Raises:
        UserError: if the file is missing or has no `get_config`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"There is no config file {path}. --config takes a Python file, such as "
            "configs/mnist.py; a preset's name goes with --dataset"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"{path} has no function get_config()")
    return module.get_config()


def _find_preset(configs_dir, name):
    path = configs_dir / f"{name}.py"
    if path.exists():
        return load_preset(path)
    import tensorflow_datasets as tfds

    if name.split("/")[0] in tfds.list_builders(with_community_datasets=False):
        return Config(dataset=name)
    presets = sorted(preset.stem for preset in configs_dir.glob("*.py"))
    close = difflib.get_close_matches(name, presets + tfds.list_builders(), n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise UserError(
        f"There is no dataset {name!r}. {hint}Presets: {', '.join(presets)}; "
        "any image set of TensorFlow Datasets; or --dataset=folder --data_dir=DIR"
    )


def _parse_integers(name, values):
    try:
        return tuple(int(value) for value in values if value.strip())
    except ValueError:
        raise UserError(
            f"--{name} takes numbers, such as 16,32. Received: {','.join(values)}"
        ) from None
