"""Images of a run in files: samples and interpolations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sagan_tf.errors import UserError
from sagan_tf.files import replacing
from sagan_tf.sampling import Sampler
from sagan_tf.visualization.image_grid import (
    arrange_classes,
    make_image_grid,
    save_image_grid,
    to_picture,
)
from sagan_tf.visualization.video import VIDEO_SUFFIXES, save_video

if TYPE_CHECKING:
    from sagan_tf.run import Labels, Run


class Samples(NamedTuple):
    """What was written.

    Attributes:
        path: The file or folder.
        images: uint8 `[N, image_size, image_size, channels]`.
        rows: What the rows of a grid show, from the top, or an empty list.
    """

    path: Path
    images: np.ndarray
    rows: list[str]


def write_samples(
    run: "Run",
    output: str | Path | None = None,
    num_images: int | None = None,
    seed: int = 0,
    truncation: float | Sequence[float] = 1.0,
    labels: "Labels" = None,
    standing_statistics: int = 0,
) -> Samples:
    """Writes images to a grid, an array file or a folder.

    Args:
        run: `Run`.
        output: `FILE.png` for a grid; `FILE.npz` for the arrays `images`, `latents`
            and, with classes, `labels`; or a new folder for one PNG per image. The
            default is a grid in `samples/`, named by step and seed.
        num_images: Integer, by default 64, or as many as there are labels.
        seed: Integer, the random seed of the latents.
        truncation: Float; see `Sampler.latents`. Several make a grid with one row each,
            of the same latents.
        labels: Classes by number or name. One class is that of all images; several are
            those of one image each, repeated if `num_images` is larger. By default a
            grid has one row per class, and other outputs have random classes.
        standing_statistics: Integer. If positive, the batch statistics are recomputed
            over this many batches of 64; see `Sampler.take_standing_statistics`.

    Raises:
        UserError: if the output cannot be written or there is no such class.
    """
    path = Path(output or run.unused_output(f"samples/step{{step}}_seed{seed}.png"))
    truncations = [float(value) for value in np.atleast_1d(truncation)]
    several = len(truncations) > 1
    _check_output(path, several)
    sampler = run.sampler
    columns = None
    count = num_images if num_images is not None else 8 if several else 64
    classes: Any = run.class_numbers(labels)
    if classes is not None:
        if num_images is None and len(classes) > 1:
            count = len(classes)
        classes = np.resize(classes, count)
    elif sampler.num_classes and path.suffix == ".png" and not several:
        classes, columns = arrange_classes(count, sampler.num_classes)
        count = len(classes)
    elif sampler.num_classes:
        classes = sampler.labels(count, seed).numpy()
    latents = np.concatenate(
        [sampler.latents(count, seed, value) for value in truncations]
    )
    rows = []
    if columns and classes is not None:
        rows = [run.config.classes[label] for label in classes[::columns]]
    if several:
        rows, columns = [f"{value:g}" for value in truncations], count
        classes = None if classes is None else np.tile(classes, len(truncations))
    images = _render(sampler, latents, classes, standing_statistics)
    if path.suffix == ".png":
        save_image_grid(images, path, columns)
    elif path.suffix == ".npz":
        arrays: dict[str, Any] = {"images": images, "latents": latents}
        if classes is not None:
            arrays["labels"] = np.asarray(classes, np.int32)
        with replacing(path) as partial:
            np.savez(partial, **arrays)
    else:
        with replacing(path) as partial:
            partial.mkdir()
            for i, image in enumerate(images):
                to_picture(image).save(partial / f"{i:06d}.png")
    return Samples(path, images, rows)


def write_interpolation(
    run: "Run",
    output: str | Path | None = None,
    num_paths: int = 4,
    steps: int = 9,
    num_latents: int | None = None,
    labels: "Labels" = None,
    method: str = "spherical",
    seed: int = 0,
    truncation: float = 1.0,
    frames_per_second: float = 12.0,
) -> Samples:
    """Writes paths between random latents, or between classes.

    Args:
        run: `Run`.
        output: `FILE.png` for a grid with one row per path; `FILE.gif` or `FILE.mp4`
            for a looping video with one tile per path. The default is a PNG in
            `samples/`, named by step and seed.
        num_paths: Positive integer.
        steps: Integer, at least 2: images from one latent to the next, both included.
        num_latents: Integer, at least 2: latents per path. The default is 2, and 4 in a
            video.
        labels: Two or more classes by number or name, to go through with one latent.
        method: `"spherical"` or `"linear"`; see `sagan_tf.interpolation.interpolate`.
        seed: Integer, the random seed of the latents.
        truncation: Float; see `Sampler.latents`.
        frames_per_second: Positive number, for a video.

    Raises:
        UserError: if the output cannot be written or there is no such class.
    """
    path = Path(
        output
        or run.unused_output(f"samples/interpolation_step{{step}}_seed{seed}.png")
    )
    if path.suffix not in (".png", *VIDEO_SUFFIXES):
        raise UserError(
            f"--output takes FILE.png, FILE.gif or FILE.mp4. Received: {output}"
        )
    classes = run.class_numbers(labels)
    if classes is not None and len(classes) < 2:
        raise UserError("--labels takes two classes or more to interpolate between")
    is_video = path.suffix != ".png"
    images = run.sampler.interpolate(
        num_paths,
        steps,
        num_latents or (4 if is_video else 2),
        classes,
        method,
        is_video,
        seed,
        truncation,
    )
    rows = np.concatenate(images.swapaxes(0, 1))
    if is_video:
        frames = [make_image_grid(tiles) for tiles in images]
        save_video(frames, path, frames_per_second)
    else:
        save_image_grid(rows, path, columns=len(images))
    return Samples(path, rows, [])


def _render(
    sampler: Sampler,
    latents: np.ndarray,
    classes: np.ndarray | None,
    standing_statistics: int,
) -> np.ndarray:
    if not standing_statistics:
        return sampler.render(latents, classes)
    trained = sampler.generator.get_weights()
    try:
        sampler.take_standing_statistics(standing_statistics)
        return sampler.render(latents, classes)
    finally:  # other calls use the statistics of training
        sampler.generator.set_weights(trained)


def _check_output(path: Path, several_truncations: bool) -> None:
    if path.suffix not in (".png", ".npz", ""):
        raise UserError(
            f"--output takes FILE.png, FILE.npz or a folder. Received: {path}"
        )
    if several_truncations and path.suffix != ".png":
        raise UserError(
            f"Several truncations make a grid: give --output=FILE.png. Received: {path}"
        )
    if not path.suffix and path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path} is not empty: give a new folder")
