"""Where a network looks: its attention maps, and pictures of them."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sagan_tf.layers import SelfAttention
from sagan_tf.models.stack import apply_stack

# Of the query points: told apart also by most who are colour-blind (Okabe and Ito).
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_SMALLEST_SIDE = 128  # a picture is enlarged to at least this many pixels
_GAP, _TITLE_HEIGHT = 4, 22


class AttentionMaps(NamedTuple):
    """What a block of attention did with a batch.

    Attributes:
        name: The layer's, `attention_16x16`.
        queries: Height and width of the map whose positions look.
        keys: Height and width of what they look at; pooled keys are fewer.
        scores: float32 `[batch, N, M]`, how much of position n's look goes to key m,
            both in row-major order.
        effect: float64 `[batch]`, how much the block changed of what it was given: the
            norm of `gamma * o` over the norm of `x`.
    """

    name: str
    queries: tuple[int, int]
    keys: tuple[int, int]
    scores: np.ndarray
    effect: np.ndarray


def trace_attention(network, inputs, labels=None):
    """Runs a network in evaluation mode and notes what its attention does.

    Args:
        network: Generator or discriminator.
        inputs: Latents `[batch, latent_dim]`, or images in `[-1, 1]`.
        labels: Integers `[batch]`, where there are classes.

    Returns:
        A list of `AttentionMaps`, one a block, in order.
    """
    traced, x, start = [], inputs, 0
    for place, layer in enumerate(network.stack):
        if not isinstance(layer, SelfAttention):
            continue
        x, _ = apply_stack(network.stack[start:place], x, False, labels)
        # The effect is not of outputs less x, which half precision would round away.
        attended, scores = layer.attend(x)
        height, width = x.shape[1:3]
        added, given = (
            np.sqrt((np.asarray(t, np.float64) ** 2).sum(axis=(1, 2, 3)))
            for t in (attended, x)
        )
        added *= abs(float(layer.gamma))
        traced.append(
            AttentionMaps(
                name=layer.name,
                queries=(height, width),
                keys=(height // layer.pool_size, width // layer.pool_size),
                scores=np.asarray(scores),
                effect=added / np.where(given > 0, given, 1),
            )
        )
        start = place  # what follows, if more attention does, begins with this block
    return traced


def find_query(point, maps, image_size):
    """The position, an integer below N, in which a pixel of the image lies.

    Args:
        point: x and y in pixels of the image, from its top left corner.
        maps: `AttentionMaps`.
        image_size: Integer, the image's side in pixels.
    """
    x, y = point
    height, width = maps.queries
    return y * height // image_size * width + x * width // image_size


def spread_scores(scores, keys, image_size):
    """A query's scores over the image's pixels, each key over the square it stands for.

    Args:
        scores: float `[M]`.
        keys: Height and width of the keys' map, divisors of `image_size`.
        image_size: Integer, the image's side in pixels.

    Returns:
        float `[image_size, image_size]`.
    """
    height, width = keys
    scores = scores.reshape(height, width)
    return scores.repeat(image_size // height, 0).repeat(image_size // width, 1)


def choose_points(image, count=5):
    """Points well apart on what stands out in an image.

    One after the other, each where the distance to those before, times how far the
    colour is from the image's middle one, is greatest.

    Args:
        image: uint8 `[size, size, channels]`.
        count: Positive integer.

    Returns:
        A list of `(x, y)` in pixels.
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
    # As if the frame were taken: what is on the very edge is seldom the subject.
    distance = np.minimum.reduce([xs, ys, size - 1 - xs, size - 1 - ys]) + 1.0
    points = []
    for _ in range(count):
        y, x = np.unravel_index(np.argmax(contrast * distance), contrast.shape)
        points.append((int(x), int(y)))
        distance = np.minimum(distance, np.hypot(xs - x, ys - y))
    return points


def overlay_scores(image, scores, keys, color=COLORS[0]):
    """The image dimmed, and over it, in light of a colour, where a query looks.

    Args:
        image: uint8 `[size, size, channels]`.
        scores: float `[M]`, one query's.
        keys: Height and width of the keys' map.
        color: `#RRGGBB`.

    Returns:
        uint8 `[size, size, 3]`; full light where the score is the query's highest,
        none where it is 0.
    """
    light = spread_scores(scores, keys, len(image)) / (scores.max() or 1)
    light = light[..., None]
    grey = _to_rgb(image).mean(axis=-1, keepdims=True)
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    # Bright places keep their shape under the light, dark ones take its colour.
    lit = 0.55 * rgb + 0.45 * _to_rgb(image)
    return np.uint8(np.round((1 - light) * 0.35 * grey + light * lit))


def save_attention_sheet(images, maps, points, path, title):
    """Draws a block's attention: a row an image, with its points, then a map each.

    In the corner of a map stands by how much its highest score is above an even share,
    `1 / M`: near 1 the point looks everywhere alike.

    Args:
        images: uint8 `[N, size, size, channels]`.
        maps: `AttentionMaps` of these images.
        points: For each image a list of `(x, y)`, all of one length.
        path: File to write.
        title: What stands above.
    """
    count, size = images.shape[:2]
    zoom = -(-_SMALLEST_SIDE // size)
    side = zoom * size
    columns = 1 + len(points[0])
    font = ImageFont.load_default(14)
    width = max(columns * (side + _GAP) - _GAP, math.ceil(font.getlength(title)) + 4)
    height = _TITLE_HEIGHT + count * (side + _GAP) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((2, 2), title, fill="black", font=font)

    def place(picture, row, column):
        picture = Image.fromarray(picture)
        picture = picture.resize((side, side), Image.Resampling.NEAREST)
        corner = column * (side + _GAP), _TITLE_HEIGHT + row * (side + _GAP)
        sheet.paste(picture, corner)
        return corner

    for row, (image, own_points) in enumerate(zip(images, points, strict=True)):
        corner = place(np.uint8(_to_rgb(image)), row, 0)
        for number, point in enumerate(own_points):
            color = COLORS[number % len(COLORS)]
            scores = maps.scores[row, find_query(point, maps, size)]
            own_corner = place(
                overlay_scores(image, scores, maps.keys, color), row, 1 + number
            )
            peak = scores.max() * scores.size
            draw.text(
                (own_corner[0] + 3, own_corner[1] + side - 3),
                f"{peak:.1f}x",
                fill="white",
                stroke_fill="black",
                stroke_width=2,
                font=ImageFont.load_default(12),
                anchor="lb",
            )
            for left, top in (corner, own_corner):
                _draw_dot(
                    draw,
                    left + zoom * (point[0] + 0.5),
                    top + zoom * (point[1] + 0.5),
                    color,
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _draw_dot(draw, x, y, color):
    for radius, fill in ((5.5, "black"), (4.5, "white"), (3.5, color)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _to_rgb(image):
    """float64 `[size, size, 3]` of an image of 1, 3 or 4 channels."""
    image = image[..., :3] if image.shape[-1] == 4 else image
    return np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float64)
