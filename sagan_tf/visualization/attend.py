"""The attention of a run: overlays of each attention layer, and a page to explore."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.data import load_images
from sagan_tf.data.preprocessing import scale
from sagan_tf.data.sources import take_first
from sagan_tf.errors import UserError
from sagan_tf.files import replacing
from sagan_tf.sampling import Sampler
from sagan_tf.types import Tensor
from sagan_tf.visualization.attention import (
    Point,
    choose_points,
    draw_attention_sheet,
    trace_attention,
)
from sagan_tf.visualization.attention_page import NamedMaps, write_attention_page

if TYPE_CHECKING:
    from sagan_tf.run import Labels, Run


def write_attention(
    run: "Run",
    folder: str | Path | None = None,
    num_images: int = 8,
    num_real: int = 8,
    seed: int = 0,
    labels: "Labels" = None,
    points: Sequence[Point] | None = None,
) -> tuple[dict[str, float], Path]:
    """Writes the attention maps of both networks, for generated and for real images.

    Each attention layer has a picture: `generator_16x16.png`, `discriminator_8x8.png`
    and, for real images, `discriminator_8x8_real.png`. `attention.html` shows them all.

    Args:
        run: `Run`.
        folder: Folder to write. The default is in `attention/`, named by step and seed.
        num_images: Positive integer, the number of generated images.
        num_real: Integer, the number of real images, 0 for none. If the run's data are
            missing, a warning says so.
        seed: Integer, the random seed of the latents.
        labels: Classes of the generated images by number or name. If they are fewer
            than the images, they repeat. The default is random classes.
        points: Query points `(x, y)` in pixels. By default five are chosen in each
            image.

    Returns:
        - The effect of each attention layer by name, which is the norm of `gamma * o`
          divided by the norm of `x`, averaged over the generated images.
        - The folder.

    Raises:
        UserError: if the networks have no attention, or a point is outside the image.
    """
    _check_points(points or (), run.config.image_size)
    sampler = run.sampler
    folder = Path(folder or run.unused_output(f"attention/step{{step}}_seed{seed}"))
    classes = run.class_numbers(labels)
    if classes is not None:
        classes = np.resize(classes, num_images)
    elif sampler.num_classes:
        classes = sampler.labels(num_images, seed).numpy()
    latents = sampler.latents(num_images, seed)
    images = sampler.render(latents, classes)

    layers = trace_both(run.generator, run.discriminator, latents, images, classes)
    if not layers:
        raise UserError(
            f"The networks in {run.config.workdir} have no attention. Train with "
            "--generator_attention_resolutions or --discriminator_attention_resolutions"
        )
    _save_sheets(layers, images, points, folder, "generated")
    sets = [(images, _caption("Generated", images, classes, run.config), layers)]
    looked_at = num_real if run.discriminator.attention_resolutions else 0
    real = _load_real(run.config, looked_at)
    if real is not None:
        images, real_labels = real
        classes = real_labels if sampler.num_classes else None
        real_layers = _trace("Discriminator", run.discriminator, scale(images), classes)
        _save_sheets(real_layers, images, points, folder, "real")
        if real_layers:
            captions = _caption("Real", images, classes, run.config)
            sets.append((images, captions, real_layers))
    title = f"{run.name}, step {run.step:,}"
    write_attention_page(folder / "attention.html", title, sets)
    return {name: float(maps.effect.mean()) for name, maps in layers}, folder


def draw_attention(
    sampler: Sampler, discriminator: Any, num_images: int, seed: int
) -> dict[str, Image.Image]:
    """Draws the attention maps of both networks for generated images.

    Args:
        sampler: `Sampler` of the generator.
        discriminator: The discriminator.
        num_images: Positive integer.
        seed: Integer, the random seed of the latents and labels.

    Returns:
        A dict of one picture per attention layer; without attention it is empty.
    """
    networks = (sampler.generator, discriminator)
    if not any(network.attention_resolutions for network in networks):
        return {}
    latents = sampler.latents(num_images, seed)
    labels = sampler.labels(num_images, seed) if sampler.num_classes else None
    images = sampler.render(latents, labels)
    layers = trace_both(sampler.generator, discriminator, latents, images, labels)
    return _draw_sheets(layers, images, None, "generated")


def _load_real(config: Config, num_real: int) -> tuple[np.ndarray, np.ndarray] | None:
    if not num_real:
        return None
    try:
        first = take_first(config, num_real)
        return load_images(first, num_real, download=False)
    except UserError as error:  # generated images do not need the run's data
        logging.warning("Real images are left out: %s", error)
        return None


def trace_both(
    generator: Any,
    discriminator: Any,
    latents: Tensor,
    images: np.ndarray,
    labels: Tensor | None,
) -> list[NamedMaps]:
    """Returns the maps of both networks' attention layers for generated images.

    Args:
        generator: The generator.
        discriminator: The discriminator.
        latents: Float `[N, latent_dim]`.
        images: uint8 `[N, size, size, channels]`, generated of these.
        labels: Integers `[N]`, or None without classes.
    """
    return [
        *_trace("Generator", generator, latents, labels),
        *_trace("Discriminator", discriminator, scale(images), labels),
    ]


def _trace(
    network_name: str, network: Tensor, inputs: Tensor, labels: np.ndarray | None
) -> list[NamedMaps]:
    return [
        (f"{network_name} {maps.queries[0]}×{maps.queries[1]}", maps)
        for maps in trace_attention(network, inputs, labels)
    ]


def _save_sheets(
    layers: Sequence[NamedMaps],
    images: np.ndarray,
    points: Sequence[Point] | None,
    folder: Path,
    kind: str,
) -> None:
    suffix = "" if kind == "generated" else f"_{kind}"
    for stem, sheet in _draw_sheets(layers, images, points, kind).items():
        with replacing(folder / f"{stem}{suffix}.png") as partial:
            sheet.save(partial)


def _draw_sheets(
    layers: Sequence[NamedMaps],
    images: np.ndarray,
    points: Sequence[Point] | None,
    kind: str,
) -> dict[str, Image.Image]:
    points_of_images = [points or choose_points(image) for image in images]
    sheets = {}
    for name, maps in layers:
        name = name.replace("×", "x")
        effect = maps.effect.mean()
        title = f"{name}, {kind} images: |gamma o| / |x| = {effect:.1%}"
        stem = name.lower().replace(" ", "_")
        sheets[stem] = draw_attention_sheet(images, maps, points_of_images, title)
    return sheets


def _caption(
    kind: str, images: np.ndarray, labels: np.ndarray | None, config: Config
) -> list[str]:
    captions = [f"{kind} {number + 1}" for number in range(len(images))]
    if labels is None:
        return captions
    return [
        f"{caption}, {config.classes[label]}"
        for caption, label in zip(captions, labels, strict=True)
    ]


def _check_points(points: Sequence[Point], size: int) -> None:
    for x, y in points:
        if not (0 <= x < size and 0 <= y < size):
            raise UserError(
                f"The point {x},{y} is outside the image: x and y are from 0 to "
                f"{size - 1}"
            )
