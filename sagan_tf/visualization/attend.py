"""Attention of a whole run: overlays of each block, and the page to explore."""

from pathlib import Path

import numpy as np

from sagan_tf.data.preprocessing import scale
from sagan_tf.errors import UserError
from sagan_tf.visualization.attention import (
    choose_points,
    save_attention_sheet,
    trace_attention,
)
from sagan_tf.visualization.attention_page import write_attention_page


def write_attention(
    run, folder, num_images=8, seed=0, labels=None, real=None, points=None
):
    """Writes where a run's networks look, for generated images and for real ones.

    Each block has a picture, `generator_16x16.png`, `discriminator_8x8.png` and, for
    real images, `discriminator_8x8_real.png`; `attention.html` has them all.

    Args:
        run: `Run`.
        folder: Folder to write.
        num_images: Positive integer, how many generated images.
        seed: Integer, of their latents.
        labels: Integers, their classes; by default random ones where there are any.
        real: Pair of real images, uint8 `[M, size, size, channels]`, and their labels,
            or None.
        points: List of `(x, y)` in pixels that look; by default some are chosen well
            apart in each image.

    Returns:
        A dict from each block's name to its effect: the norm of `gamma * o` over the
        norm of `x`, as the mean over the generated images.

    Raises:
        UserError: if the networks have no attention, or a point is not in the image.
    """
    _check_points(points or (), run.config.image_size)
    model = run.model
    if labels is None and model.num_classes:
        labels = model.sample_labels(num_images, seed)
    labels = None if labels is None else np.asarray(labels)
    latents = model.sample_latents(num_images, seed)
    images = model.render(latents, labels)

    blocks = _trace("Generator", run.generator, latents, labels)
    blocks += _trace("Discriminator", run.discriminator, scale(images), labels)
    if not blocks:
        raise UserError(
            f"The networks in {run.config.workdir} have no attention. Train with "
            "--generator_attention_resolutions or --discriminator_attention_resolutions"
        )
    folder = Path(folder)
    _save_sheets(blocks, images, points, folder, "generated")
    sets = [(images, _caption("Generated", images, labels, run.config), blocks)]
    if real is not None:
        images, labels = real
        real_blocks = _trace(
            "Discriminator",
            run.discriminator,
            scale(images),
            labels if model.num_classes else None,
        )
        _save_sheets(real_blocks, images, points, folder, "real")
        captions = _caption("Real", images, labels, run.config)
        if real_blocks:
            sets.append((images, captions, real_blocks))
    title = f"{Path(run.config.workdir).resolve().name}, step {run.step:,}"
    write_attention_page(folder / "attention.html", title, sets)
    return {name: float(maps.effect.mean()) for name, maps in blocks}


def _trace(network_name, network, inputs, labels):
    """The network's blocks of attention, `(name, AttentionMaps)` each."""
    traced = trace_attention(network, inputs, labels)
    return [
        (f"{network_name} {maps.queries[0]}×{maps.queries[1]}", maps) for maps in traced
    ]


def _save_sheets(blocks, images, points, folder, kind):
    suffix = "" if kind == "generated" else f"_{kind}"
    points = [points or choose_points(image) for image in images]
    for name, maps in blocks:
        stem = name.lower().replace(" ", "_").replace("×", "x")
        title = (
            f"{name.replace('×', 'x')}, {kind} images: "
            f"|gamma o| / |x| = {maps.effect.mean():.1%}"
        )
        path = folder / f"{stem}{suffix}.png"
        save_attention_sheet(images, maps, points, path, title)


def _caption(kind, images, labels, config):
    captions = []
    for number in range(len(images)):
        caption = f"{kind} {number + 1}"
        if config.num_classes:
            caption += f", {config.classes[labels[number]]}"
        captions.append(caption)
    return captions


def _check_points(points, size):
    for x, y in points:
        if not (0 <= x < size and 0 <= y < size):
            raise UserError(
                f"The point {x},{y} is not in the image, where x and y are from 0 to "
                f"{size - 1}"
            )
