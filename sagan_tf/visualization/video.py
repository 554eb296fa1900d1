"""Videos: GIF and MP4 files, and the training video of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from sagan_tf.errors import UserError
from sagan_tf.files import replacing, unused_path
from sagan_tf.model_files import check_has_logs
from sagan_tf.packages import check_installed
from sagan_tf.visualization.image_grid import to_picture

VIDEO_SUFFIXES = (".gif", ".mp4")
_LEAST_SIDE = 256  # pixels


class TrainingVideo(NamedTuple):
    """What was written.

    Attributes:
        path: The file.
        num_grids: Integer, the number of grids in it.
        first_step: Integer.
        last_step: Integer.
    """

    path: Path
    num_grids: int
    first_step: int
    last_step: int


def write_training_video(
    workdir: str | Path,
    output: str | Path | None = None,
    frames_per_second: float = 6.0,
) -> TrainingVideo:
    """Makes a video of the grids of fixed latents that training wrote.

    Args:
        workdir: Run directory.
        output: `FILE.gif` or `FILE.mp4`. The default is an unused name like
            `training.gif` in the run directory.
        frames_per_second: Positive number. The last grid stays for a second.

    Raises:
        UserError: if there are fewer than two grids, or the output cannot be written.
    """
    check_has_logs(workdir)
    samples = Path(workdir) / "samples"
    path = Path(output or unused_path(Path(workdir) / "training.gif"))
    if path.suffix not in VIDEO_SUFFIXES:
        raise UserError(f"--output takes FILE.gif or FILE.mp4. Received: {output}")
    grids = {int(p.stem): p for p in samples.glob("*.png") if p.stem.isdecimal()}
    if len(grids) < 2:
        raise UserError(
            f"A video needs two grids or more in {samples}. It has {len(grids)}. Train "
            "longer, or with a lower --sample_interval"
        )
    steps = sorted(grids)
    frames = [_read_grid(grids[step]) for step in steps]
    for step, frame in zip(steps, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise UserError(
                f"{grids[step]} has {_describe(frame)}, but {grids[steps[0]]} has "
                f"{_describe(frames[0])}. Move those of one shape to another folder"
            )
    frames += [frames[-1]] * round(frames_per_second)
    save_video(frames, path, frames_per_second)
    return TrainingVideo(path, len(steps), steps[0], steps[-1])


def _read_grid(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            frame = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path} is damaged ({error}). Delete it to leave it out"
        ) from error
    return frame[..., None] if frame.ndim == 2 else frame


def _describe(frame: np.ndarray) -> str:
    height, width, channels = frame.shape
    return f"{width}x{height} pixels and {channels} channels"


def save_video(
    frames: Sequence[np.ndarray], path: Path, frames_per_second: float = 12.0
) -> None:
    """Writes images one after the other as a GIF that loops, or as an MP4.

    Small images are enlarged by an integer factor, to at least 256 pixels per side.

    Args:
        frames: uint8 arrays `[height, width, channels]`, all of one shape.
        path: `FILE.gif`, or `FILE.mp4`, which needs imageio.
        frames_per_second: Positive number.

    Raises:
        UserError: if imageio is missing for an MP4.
    """
    height, width, _ = frames[0].shape
    zoom = -(-_LEAST_SIDE // min(height, width))
    frames = [frame.repeat(zoom, 0).repeat(zoom, 1) for frame in frames]
    if path.suffix == ".mp4":
        return _save_mp4(frames, path, frames_per_second)
    first, *others = map(to_picture, frames)
    with replacing(path) as partial:
        first.save(
            partial,
            save_all=True,
            append_images=others,
            duration=round(1000 / frames_per_second),
            loop=0,
        )


def _save_mp4(
    frames: Sequence[np.ndarray], path: Path, frames_per_second: float
) -> None:
    check_installed("An MP4 video, unlike a GIF,", "video", "imageio_ffmpeg")
    import imageio.v3

    frames = [np.broadcast_to(f[..., :3], (*f.shape[:2], 3)) for f in frames]
    # H.264 needs even sides, and few players support anything but yuv420p.
    with replacing(path) as partial:
        imageio.v3.imwrite(
            partial,
            np.stack([f[: f.shape[0] // 2 * 2, : f.shape[1] // 2 * 2] for f in frames]),
            fps=frames_per_second,
            codec="libx264",
            macro_block_size=2,
        )
