"""What the demo shows, as functions of seed, truncation and class alone."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sagan_tf.errors import UserError
from sagan_tf.interpolation import interpolate
from sagan_tf.run import Run
from sagan_tf.visualization.attend import trace_both
from sagan_tf.visualization.attention import find_query, overlay_scores
from sagan_tf.visualization.image_grid import to_picture

MOST_IMAGES = 64
LARGEST_SEED = 2**31 - 1
LARGEST_TRUNCATION = 2.0
STEPS = 100  # from one image to another
_LEAST_SIDE = 512  # pixels of an enlarged picture
_MARK = ("#000000", 5), ("#ffffff", 2)  # colors and widths of the query's outline


class Pictures:
    """Pictures of a run's images. Image `number` of a seed is always the same.

    All arguments are checked: they come from anywhere.

    Args:
        run: `Run`.

    Attributes:
        classes: Class names, empty without classes.
        size: Integer, pixels per side of an image.
    """

    def __init__(self, run: Run):
        self._run = run
        self.classes = run.config.classes if run.config.num_classes else ()
        self.size = run.config.image_size

    def generate(
        self, seed: int, truncation: float, label: str | None, count: int
    ) -> list[Image.Image]:
        """Returns the first images of a seed.

        Args:
            seed: Integer in `[0, 2**31)`.
            truncation: Float in `[0, 2]`.
            label: A class name, or None for random classes.
            count: Integer in `[1, 64]`.

        Raises:
            UserError: if an argument is not among these.
        """
        count = _check_integer("The number of images", count, 1, MOST_IMAGES)
        latents, labels = self._inputs(seed, truncation, label, count)
        return [to_picture(i) for i in self._run.sampler.render(latents, labels)]

    def enlarge(
        self, seed: int, truncation: float, label: str | None, number: int
    ) -> Image.Image:
        """Returns an image, enlarged; `number` counts from 1."""
        latents, labels = self._one(seed, truncation, label, number)
        return _enlarge(self._run.sampler.render(latents, labels, batch_size=1)[0])

    def attend(
        self,
        seed: int,
        truncation: float,
        label: str | None,
        number: int,
        x: int,
        y: int,
    ) -> list[tuple[Image.Image, str]]:
        """Returns what a pixel of an image attends to in each attention layer.

        Args:
            seed: As in `generate`.
            truncation: As in `generate`.
            label: As in `generate`.
            number: Integer in `[1, 64]`, the image.
            x: Integer in `[0, size)`, the pixel's column.
            y: Integer in `[0, size)`, its row.

        Returns:
            For each layer a picture, with the query outlined, and a caption.

        Raises:
            UserError: if an argument is not among these, or there is no attention.
        """
        x = _check_integer("The column", x, 0, self.size - 1)
        y = _check_integer("The row", y, 0, self.size - 1)
        run = self._run
        latents, labels = self._one(seed, truncation, label, number)
        images = run.sampler.render(latents, labels, batch_size=1)
        layers = trace_both(run.generator, run.discriminator, latents, images, labels)
        if not layers:
            raise UserError("These networks have no attention")
        shown = []
        for name, maps in layers:
            query = find_query((x, y), maps, self.size)
            scores = maps.scores[0, query]
            picture = _enlarge(overlay_scores(images[0], scores, maps.keys))
            _outline(picture, query, maps.queries)
            caption = (
                f"{name}. Brightest: {scores.max():.1%}, "
                f"{scores.max() * scores.size:.0f} times a uniform score"
            )
            shown.append((picture, caption))
        return shown

    def between(
        self,
        seed: int,
        truncation: float,
        label: str | None,
        first: int,
        second: int,
        position: int,
    ) -> Image.Image:
        """Returns an image of the interpolation between two images.

        Args:
            seed: As in `generate`.
            truncation: As in `generate`.
            label: As in `generate`.
            first: Integer in `[1, 64]`, an image.
            second: Integer in `[1, 64]`, another one.
            position: Integer in `[0, 100]`: 0 is the first, 100 the second.

        Raises:
            UserError: if an argument is not among these.
        """
        position = _check_integer("The position", position, 0, STEPS)
        ends = [self._one(seed, truncation, label, n) for n in (first, second)]
        corners = np.concatenate([latents for latents, _ in ends])
        latents = interpolate(corners, STEPS + 1)[position : position + 1]
        weights = None
        if self.classes:
            rows = np.eye(len(self.classes))[[int(labels[0]) for _, labels in ends]]
            weights = interpolate(rows, STEPS + 1, "linear")[position : position + 1]
        return _enlarge(self._run.sampler.render(latents, weights, batch_size=1)[0])

    def find_pixel(self, column: int, row: int) -> tuple[int, int]:
        """Converts a pixel of the enlarged picture to a pixel of the image."""
        zoom = _zoom(self.size)
        return column // zoom, row // zoom

    def _one(
        self, seed: int, truncation: float, label: str | None, number: int
    ) -> tuple[np.ndarray, Any]:
        """Returns latent and label of one image, each with a batch axis."""
        number = _check_integer("The image", number, 1, MOST_IMAGES)
        latents, labels = self._inputs(seed, truncation, label, number)
        return latents[-1:], None if labels is None else labels[-1:]

    def _inputs(
        self, seed: int, truncation: float, label: str | None, count: int
    ) -> tuple[np.ndarray, Any]:
        seed = _check_integer("The seed", seed, 0, LARGEST_SEED)
        truncation = _check("The truncation", truncation, 0, LARGEST_TRUNCATION)
        sampler = self._run.sampler
        latents = np.asarray(sampler.latents(count, seed, truncation))
        if label is None:
            labels = sampler.labels(count, seed) if self.classes else None
            return latents, None if labels is None else np.asarray(labels)
        if label not in self.classes:
            raise UserError(
                f"The class must be one of {', '.join(self.classes) or 'none'}. "
                f"Received: {label!r:.100}"
            )
        return latents, np.full(count, self.classes.index(label), np.int32)


def _check(name: str, value: Any, low: float, high: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise UserError(
            f"{name} must be a number from {low} to {high}. Received: {value!r:.100}"
        )
    return value


def _check_integer(name: str, value: Any, low: int, high: int) -> int:
    if _check(name, value, low, high) != int(value):
        raise UserError(f"{name} must be an integer. Received: {value}")
    return int(value)


def _zoom(size: int) -> int:
    return -(-_LEAST_SIDE // size)


def _enlarge(image: np.ndarray) -> Image.Image:
    side = _zoom(len(image)) * len(image)
    picture = to_picture(image).convert("RGB")
    return picture.resize((side, side), Image.Resampling.NEAREST)


def _outline(picture: Image.Image, query: int, queries: tuple[int, int]) -> None:
    rows, columns = queries
    height, width = picture.height / rows, picture.width / columns
    top, left = query // columns * height, query % columns * width
    draw = ImageDraw.Draw(picture)
    for color, line in _MARK:
        box = (left, top, left + width - 1, top + height - 1)
        draw.rectangle(box, outline=color, width=line)
