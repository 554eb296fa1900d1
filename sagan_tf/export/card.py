"""The model card of a run: what it is, how it was made, and what it scores."""

import dataclasses
import json
import math
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.files import read_text, unused_path, write_text
from sagan_tf.flags import describe_flags, split_location
from sagan_tf.model_files import find_pretrained
from sagan_tf.report.history import History, read_history
from sagan_tf.text import count, format_duration

if TYPE_CHECKING:
    from sagan_tf.run import Run


CARD = "README.md"


class Source(NamedTuple):
    """Where a data set comes from.

    Attributes:
        text: What the card says.
        license: Its license's name on the Hub.
        terms: Where the terms are that are no license of the Hub's list; None else.
        hub: Name of the data set on the Hub; None if it has no official one there.
    """

    text: str
    license: str = "unknown"
    terms: str | None = None
    hub: str | None = None


_IMAGENET = Source(
    "ImageNet, of Stanford and Princeton. It may be used for non-commercial research "
    "and education only",
    "other",
    terms="https://www.image-net.org/download",
    hub="ILSVRC/imagenet-1k",
)
# By the name in TensorFlow Datasets, without the part after the slash.
SOURCES = {
    "digits": Source(
        "The 8x8 digits of the UCI repository, as scikit-learn has them, CC BY 4.0",
        "cc-by-4.0",
    ),
    "mnist": Source(
        "MNIST, of LeCun, Cortes and Burges, CC BY-SA 3.0",
        "cc-by-sa-3.0",
        hub="ylecun/mnist",
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST, of Zalando Research, MIT license",
        "mit",
        hub="zalando-datasets/fashion_mnist",
    ),
    "cifar10": Source(
        "CIFAR-10, of Alex Krizhevsky, which states no license", hub="uoft-cs/cifar10"
    ),
    "celeb_a": Source(
        "CelebA, of MMLAB at the Chinese University of Hong Kong. It may be used for "
        "non-commercial research only, and so may networks and images made of it",
        "other",
        terms="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    "imagenet2012": _IMAGENET,
    "imagenet_resized": _IMAGENET,
    "lsun": Source("LSUN, of Princeton University, which states no license"),
}


def make_card(run: "Run", others: str = "") -> str:
    """Returns the card's text in Markdown, without metadata.

    Args:
        run: `Run`. Without logs the card does not say how long it took. Networks that
            were exported keep the card that they came with, but for its section "Use".
        others: What else is in the folder, in Markdown.
    """
    if run.networks_dir and (run.networks_dir / CARD).exists():
        text = read_text(run.networks_dir / CARD)
        text = re.sub(r"\A---\n.*?\n---\n+", "", text, flags=re.DOTALL)
        use = _describe_use(run.config, others)
        return re.sub(r"(?ms)^## Use\n.*?(?=^## |\Z)", lambda _: use, text)
    config, history = run.config, _read_history(run)
    classes = f" of {len(config.classes)} classes" if config.num_classes else ""
    colors = {1: "gray", 3: "color"}
    color = colors.get(config.channels, f"{config.channels}-channel")
    return f"""\
# {run.name}

![Generated images](samples.png)

A Self-Attention GAN ([Zhang et al., 2018](https://arxiv.org/abs/1805.08318)): EMA
generator and discriminator of step {run.step:,}, for {color} images{classes}, \
{config.image_size} px.

{_describe_use(config, others)}\
## Training

```
{_describe_command(run, history)}
```

{_describe_time(history, run)}

## Data

{find_source(config).text}.{_describe_number(history)}{_describe_origin(history)}

## Scores

{_describe_scores(run)}
"""


def _describe_use(config: Config, others: str) -> str:
    shape = [16, config.image_size, config.image_size, config.channels]
    return f"""\
## Use

```
sagan-tf sample --workdir=DIR
```

```python
import sagan_tf

run = sagan_tf.load_run("DIR")
images = run.generate(16)  # uint8 {shape}
```

DIR is the folder of this file. Both need the package sagan_tf.{others}

"""


def _describe_command(run: "Run", history: History | None) -> str:
    config = without_paths(run.config)
    images = "IMAGES" if config.dataset == "folder" else None
    origin = history.init_from if history else None
    if origin is None:
        return f"sagan-tf train {describe_flags(config, images)}"
    flags = describe_flags(config, images, _name_networks(origin))
    return f"sagan-tf train {flags} {shlex.quote(f'--workdir=runs/{run.name}')}"


def _read_history(run: "Run") -> History | None:
    try:
        return read_history(run.config.run_dir)
    except UserError:  # networks alone, an import, or less than one row
        return None


def write_card(folder: Path, text: str, earlier: Path) -> None:
    """Writes a card, and keeps one of an earlier export that differs: it may be edited.

    It becomes `README.old.md`, or if there is one `README.old_2.md`, and so on.

    Args:
        folder: Folder of the export.
        text: Its card.
        earlier: Folder of the earlier export, if there is one.
    """
    write_text(folder / CARD, text)
    # As bytes: an edited card may have any encoding.
    kept = [(folder / CARD).read_bytes()]
    for file in sorted(earlier.glob("README.old*.md")):
        shutil.copy(file, folder)
        kept.append(file.read_bytes())
    former = earlier / CARD
    if former.exists() and former.read_bytes() not in kept:
        shutil.copy(former, unused_path(folder / "README.old.md"))


def name_extractor(protocol: dict[str, Any]) -> str:
    """Returns the extractor of a score: what features or classes were computed by."""
    return protocol.get("extractor", protocol.get("agreement_with", ""))


def find_source(config: Config) -> Source:
    """Returns what is known of the data of a run."""
    unknown = f"`{config.dataset}`. Say here where it comes from, and its license"
    return SOURCES.get(config.dataset.partition("/")[0], Source(unknown))


def without_paths(config: Config) -> Config:
    """Returns settings without the paths of the machine."""
    extractor = Config().evaluation_extractor  # one of the user's own is a path
    return dataclasses.replace(config, data_dir=None, evaluation_extractor=extractor)


def without_folders(text: str) -> str:
    """Returns a text with the last parts of absolute paths alone.

    A path tells where somebody keeps images, and often a name: `"/home/ann/cats, at 64
    px"` becomes `"cats, at 64 px"`.
    """
    text = re.sub(r"/(?=,|$)", "", text)  # at the end of a path
    return re.sub(r"(?<!\S)/(?=\S)(?:.*/)?", "", text)


def _name_networks(location: str) -> str:
    """Returns `WORKDIR@STEP` without the folders of the machine."""
    workdir = split_location(location)[0]
    pretrained = find_pretrained(workdir)
    name = f"pretrained/{pretrained.name}" if pretrained else without_folders(workdir)
    return name + location[len(workdir) :]


def public_scores(run: "Run") -> list[dict[str, Any]]:
    """Returns `run.read_scores()` without the folders of the machine."""
    return _map_texts(without_folders, run.read_scores())


def _map_texts(function: Callable[[str], str], value: Any) -> Any:
    """Applies a function to the texts in lists and dicts."""
    if isinstance(value, dict):
        return {name: _map_texts(function, own) for name, own in value.items()}
    if isinstance(value, list):
        return [_map_texts(function, own) for own in value]
    return function(value) if isinstance(value, str) else value


def _describe_number(history: History | None) -> str:
    number = history and history.data.get("num_images")
    return f" It was trained on {count(number, 'image')}." if number else ""


def _describe_origin(history: History | None) -> str:
    origins = [start.get("init_from") for start in history.starts] if history else []
    return "".join(
        f"\n\nIt started from the networks of `{_name_networks(origin)}`, whose data "
        "and license count for it too."
        for origin in dict.fromkeys(filter(None, origins))
    )


def _describe_time(history: History | None, run: "Run") -> str:
    if history is None:
        return "How long it took is not recorded."
    last, planned = history.last_step, run.config.steps
    is_shorter = last <= run.step < planned
    text = f"{run.step:,}{f' of {planned:,}' * is_shorter} steps"
    # A run that was stopped may have logged nothing since the last interval.
    logged = min(run.step, last)
    seconds = 3600 * float(history.hours(logged))
    if math.isfinite(seconds):
        time = format_duration(seconds)
        is_all = logged == run.step
        text += f" in {time}" if is_all else f" (the first {logged:,} in {time})"
    if run.step < last:
        text += f", of a run to step {last:,}"
    return "".join([text, ".", *dict.fromkeys(map(_describe_start, history.starts))])


def _describe_start(start: dict[str, Any]) -> str:
    facts = [start.get(name) for name in ("processor", "devices")]
    facts += [
        f"{name} {start[name]}"
        for name in ("sagan_tf", "tensorflow", "keras")
        if start.get(name)
    ]
    return f" On {', '.join(str(fact) for fact in facts if fact)}."


def _describe_scores(run: "Run") -> str:
    rows, protocols = [], []
    for record in public_scores(run):
        protocol, yardsticks = record["protocol"], record.get("yardsticks", {})
        protocols.append(f"- {json.dumps(protocol)}")
        for name, score in record["scores"].items():
            real, noise = (
                _format(yardsticks.get(kind, {}).get("scores", {}).get(name))
                for kind in ("held_out", "noise")
            )
            extractor = name_extractor(protocol)
            rows.append(f"| {name} | {extractor} | {score:.4g} | {real} | {noise} |")
    if not rows:
        images = " --data_dir=IMAGES" if run.config.dataset == "folder" else ""
        return f"None yet: `sagan-tf evaluate --workdir=DIR{images}` computes them."
    return "\n".join(
        [
            "| | extractor | this run | held-out real images | noise |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Scores are comparable only if all of their protocol is the same:",
            "",
            *dict.fromkeys(protocols),
        ]
    )


def _format(score: Any) -> str:
    return f"{score:.4g}" if isinstance(score, (int, float)) else ""
