"""The attention explorer: one HTML file that needs no server and no network."""

import base64
import gzip
import html
import io
import json
from importlib import resources

import numpy as np
from PIL import Image


def write_attention_page(path, title, sets):
    """Writes a page on which one clicks a pixel and sees where it looks.

    Args:
        path: File to write; its folder is made.
        title: Text, what the images are of.
        sets: List of `(images, captions, blocks)`: uint8 images
            `[N, size, size, channels]`, a text each, and a list of `(name, maps)`, the
            name of a block of attention and its `AttentionMaps` of these images.
            Blocks of the same name in several sets are one.
    """
    shown, described = [], {}
    for images, captions, blocks in sets:
        for name, maps in blocks:
            block = described.setdefault(
                name,
                {"name": name, "queries": maps.queries, "keys": maps.keys, "maps": {}},
            )
            for number in range(len(images)):
                block["maps"][len(shown) + number] = {
                    "effect": float(f"{maps.effect[number]:.4g}"),
                    **_pack_scores(maps.scores[number]),
                }
        shown += [
            {"source": _png_address(image), "caption": caption}
            for image, caption in zip(images, captions, strict=True)
        ]
    data = {
        "size": images.shape[1],
        "images": shown,
        "blocks": list(described.values()),
    }
    template = (
        resources.files(__package__).joinpath("attention.html").read_text("utf-8")
    )
    # Within <script>, "</" would end it.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    text = text.replace("</", "<\\/")
    page = template.replace("{{title}}", html.escape(title)).replace("{{data}}", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _pack_scores(scores):
    """Each query's scores as bytes, 255 for its highest, and what that one is."""
    peaks = scores.max(axis=1)
    # Attention normalized over its queries can leave one with nothing to look at.
    rounded = np.uint8(np.round(255 * scores / np.where(peaks > 0, peaks, 1)[:, None]))
    # Without the time of day, so that the same run gives the same file.
    packed = gzip.compress(rounded.tobytes(), mtime=0)
    return {
        "peaks": [float(f"{peak:.6g}") for peak in peaks],
        "scores": base64.b64encode(packed).decode(),
    }


def _png_address(image):
    buffer = io.BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
