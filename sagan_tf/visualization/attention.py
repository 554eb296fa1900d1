"""Attention maps of a network, and pictures of them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sagan_tf.layers import SelfAttention
from sagan_tf.types import Tensor

# (x, y) in pixels from the top left corner of an image.
Point: TypeAlias = tuple[int, int]

# Colors of the query points, distinct with most color blindness too (Okabe and Ito).
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_LEAST_SIDE = 128  # pixels of an enlarged image
_GAP, _TITLE_HEIGHT = 4, 22


class AttentionMaps(NamedTuple):
    """The attention maps of one layer for a batch.

    Attributes:
        name: The layer's name, such as `attention_16x16`.
        queries: Height and width of the map of queries.
        keys: Height and width of the map of keys; pooled keys are fewer.
        scores: float32 `[batch, N, M]`, how much query n attends to key m, positions in
            row-major order.
        query: float32 `[batch, N, channels]`.
        key: float32 `[batch, M, channels]`. The scores are the softmax of the products
            with these over `normalize_over`; half precision rounds the products first.
        normalize_over: `"keys"` or `"queries"`.
        effect: float64 `[batch]`, how much the layer changes its input: the norm of
            `gamma * o` divided by the norm of `x`.
    """

    name: str
    queries: tuple[int, int]
    keys: tuple[int, int]
    scores: np.ndarray
    query: np.ndarray
    key: np.ndarray
    normalize_over: str
    effect: np.ndarray


def trace_attention(
    network: Any, inputs: Tensor, labels: Tensor | None = None
) -> list[AttentionMaps]:
    """Returns the attention maps of a network in evaluation mode, in their order.

    Args:
        network: Generator or discriminator; see `sagan_tf.models.network.Network`.
        inputs: Latents `[batch, latent_dim]`, or images in `[-1, 1]`.
        labels: Integers `[batch]`, with classes.
    """
    traced = []
    for layer, x, _, scores in network.walk(inputs, labels):
        if not isinstance(layer, SelfAttention):
            continue
        # The difference of output and x would be rounded away in half precision.
        attended, _ = layer.attend(x)
        query, key, _ = (np.asarray(t, np.float32) for t in layer.project(x))
        change, given = (
            np.sqrt((np.asarray(t, np.float64) ** 2).sum(axis=(1, 2, 3)))
            for t in (attended, x)
        )
        change *= abs(float(keras.ops.convert_to_numpy(layer.gamma)))
        height, width = x.shape[1:3]
        traced.append(
            AttentionMaps(
                name=layer.name,
                queries=(height, width),
                keys=(height // layer.pool_size, width // layer.pool_size),
                scores=np.asarray(scores),
                query=query,
                key=key,
                normalize_over=layer.normalize_over,
                effect=change / np.where(given > 0, given, 1),
            )
        )
    return traced


def find_query(point: Point, maps: AttentionMaps, image_size: int) -> int:
    """Returns the index of the query, below N, that a pixel of the image lies in.

    Args:
        point: `(x, y)` in pixels.
        maps: `AttentionMaps`.
        image_size: Integer, pixels per side of the image.
    """
    x, y = point
    height, width = maps.queries
    return y * height // image_size * width + x * width // image_size


def spread_scores(
    scores: np.ndarray, keys: tuple[int, int], image_size: int
) -> np.ndarray:
    """Spreads a query's scores over the pixels: each key fills the square it covers.

    Args:
        scores: float `[M]`.
        keys: Height and width of the map of keys, divisors of `image_size`.
        image_size: Integer, pixels per side of the image.

    Returns:
        float `[image_size, image_size]`.
    """
    height, width = keys
    scores = scores.reshape(height, width)
    return scores.repeat(image_size // height, 0).repeat(image_size // width, 1)


def choose_points(image: np.ndarray, count: int = 5) -> list[Point]:
    """Chooses points on what stands out in an image, far apart from one another.

    Each point maximizes the distance to the earlier points times the contrast: how far
    its color is from the image's median color.

    Args:
        image: uint8 `[size, size, channels]`.
        count: Positive integer.
    """
    size = len(image)
    colors = np.stack(
        [
            np.asarray(Image.fromarray(channel).filter(ImageFilter.GaussianBlur(1)))
            for channel in np.moveaxis(image, -1, 0)
        ],
        axis=-1,
    ).astype(np.float64)
    contrast = np.abs(colors - np.median(colors, axis=(0, 1))).mean(-1) + 8
    ys, xs = np.mgrid[:size, :size]
    # The border counts as an earlier point: the subject is seldom at the very edge.
    distance = np.minimum.reduce([xs, ys, size - 1 - xs, size - 1 - ys]) + 1.0
    points = []
    for _ in range(count):
        y, x = np.unravel_index(np.argmax(contrast * distance), contrast.shape)
        points.append((int(x), int(y)))
        distance = np.minimum(distance, np.hypot(xs - x, ys - y))
    return points


def overlay_scores(
    image: np.ndarray,
    scores: np.ndarray,
    keys: tuple[int, int],
    color: str = COLORS[0],
) -> np.ndarray:
    """Dims an image and lights up the positions that a query attends to.

    Args:
        image: uint8 `[size, size, channels]`.
        scores: float `[M]`, those of one query.
        keys: Height and width of the map of keys.
        color: `#RRGGBB`, the color of the light.

    Returns:
        uint8 `[size, size, 3]`, brightest at the query's highest score, dark at 0.
    """
    light = spread_scores(scores, keys, len(image)) / (scores.max() or 1)
    light = light[..., None]
    gray = _to_rgb(image).mean(axis=-1, keepdims=True)
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    # A mix: bright pixels keep their shape, and dark ones take the color.
    lit = 0.55 * rgb + 0.45 * _to_rgb(image)
    return np.round((1 - light) * 0.35 * gray + light * lit).astype(np.uint8)


def draw_attention_sheet(
    images: np.ndarray,
    maps: AttentionMaps,
    points: Sequence[Sequence[Point]],
    title: str,
) -> Image.Image:
    """Draws a layer's attention: per image a row with its points and a map per point.

    The number on a map is its highest score divided by a uniform one, `1 / M`: near 1
    the query attends to all keys alike.

    Args:
        images: uint8 `[N, size, size, channels]`.
        maps: `AttentionMaps` of these images.
        points: For each image its query points, as many for all.
        title: The title above.

    Returns:
        The picture, RGB.
    """
    count, size = images.shape[:2]
    zoom = -(-_LEAST_SIDE // size)
    side = zoom * size
    columns = 1 + len(points[0])
    font = ImageFont.load_default(14)
    width = max(columns * (side + _GAP) - _GAP, math.ceil(font.getlength(title)) + 4)
    height = _TITLE_HEIGHT + count * (side + _GAP) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((2, 2), title, fill="black", font=font)

    def paste(image: np.ndarray, row: int, column: int) -> tuple[int, int]:
        picture = Image.fromarray(image)
        picture = picture.resize((side, side), Image.Resampling.NEAREST)
        corner = column * (side + _GAP), _TITLE_HEIGHT + row * (side + _GAP)
        sheet.paste(picture, corner)
        return corner

    for row, (image, own_points) in enumerate(zip(images, points, strict=True)):
        image_corner = paste(_to_rgb(image).astype(np.uint8), row, 0)
        for number, point in enumerate(own_points):
            color = COLORS[number % len(COLORS)]
            scores = maps.scores[row, find_query(point, maps, size)]
            overlay = overlay_scores(image, scores, maps.keys, color)
            map_corner = paste(overlay, row, 1 + number)
            draw.text(
                (map_corner[0] + 3, map_corner[1] + side - 3),
                f"{scores.max() * scores.size:.1f}x",
                fill="white",
                stroke_fill="black",
                stroke_width=2,
                font=ImageFont.load_default(12),
                anchor="lb",
            )
            for left, top in (image_corner, map_corner):
                x, y = (zoom * (each + 0.5) for each in point)
                _draw_dot(draw, left + x, top + y, color)
    return sheet


def _draw_dot(draw: ImageDraw.ImageDraw, x: float, y: float, color: str) -> None:
    for radius, fill in ((5.5, "black"), (4.5, "white"), (3.5, color)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _to_rgb(image: np.ndarray) -> np.ndarray:
    """Converts an image with 1, 3 or 4 channels to float64 `[size, size, 3]`."""
    image = image[..., :3] if image.shape[-1] == 4 else image
    return np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float64)
