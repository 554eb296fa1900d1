"""The attention explorer: one HTML file that needs no server and no network."""

import base64
import html
import io
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from sagan_tf.files import write_text
from sagan_tf.text import printable
from sagan_tf.visualization.attention import AttentionMaps
from sagan_tf.visualization.image_grid import to_picture

# An attention layer's name on the page, and its maps.
NamedMaps: TypeAlias = tuple[str, AttentionMaps]

_MAX_LENGTH = 200  # characters of a title or caption


def write_attention_page(
    path: Path,
    title: str,
    sets: Sequence[tuple[np.ndarray, Sequence[str], Sequence[NamedMaps]]],
) -> None:
    """Writes a page where a click on a pixel shows what it attends to.

    Args:
        path: File to write; its folder is created.
        title: What the images are of.
        sets: Triples of images, uint8 `[N, size, size, channels]`, a caption for each,
            and the attention layers of these images. Layers of the same name in
            several sets are one.
    """
    shown: list[dict[str, str]] = []
    layers: dict[str, dict[str, Any]] = {}
    for images, captions, named_maps in sets:
        for name, maps in named_maps:
            layer = layers.setdefault(
                name,
                {
                    "name": name,
                    "queries": maps.queries,
                    "keys": maps.keys,
                    "normalizeOver": maps.normalize_over,
                    "maps": {},
                },
            )
            # The page computes the scores: queries and keys are a small part of them.
            for number in range(len(images)):
                layer["maps"][len(shown) + number] = {
                    "effect": float(f"{maps.effect[number]:.4g}"),
                    "query": _pack(maps.query[number]),
                    "key": _pack(maps.key[number]),
                }
        shown += [
            {"source": _png_url(image), "caption": _shorten(caption)}
            for image, caption in zip(images, captions, strict=True)
        ]
    data = {
        "size": images.shape[1],
        "images": shown,
        "layers": list(layers.values()),
    }
    template = (
        resources.files(__package__).joinpath("attention.html").read_text("utf-8")
    )
    # Any "<" could end the script element, or change how the rest is parsed.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c")
    # In one pass, so that no inserted text is replaced in turn.
    inserted = {"{{title}}": html.escape(_shorten(title)), "{{data}}": text}
    page = re.sub("{{title}}|{{data}}", lambda match: inserted[match[0]], template)
    write_text(path, page)


def _shorten(text: str) -> str:
    """Makes any text one line that can be shown: class names can be anything."""
    text = printable(text)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def _pack(array: np.ndarray) -> str:
    """Packs an array as float32, little-endian."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _png_url(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    to_picture(image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
