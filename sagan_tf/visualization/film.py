import importlib.util

import numpy as np
from PIL import Image

from sagan_tf.errors import UserError

FILM_SUFFIXES = (".gif", ".mp4")
_SMALLEST_SIDE = 256


def save_film(frames, path, frames_per_second=12):
    """Writes pictures one after the other as a GIF that loops, or an MP4.

    Small ones are enlarged by a whole factor, to 256 pixels a side at least.

    Args:
        frames: List of uint8 arrays `[height, width, channels]`, all of one shape.
        path: `FILE.gif`, or `FILE.mp4`, for which imageio is needed.
        frames_per_second: Positive number.

    Raises:
        UserError: for an MP4 without imageio.
    """
    height, width, channels = frames[0].shape
    zoom = -(-_SMALLEST_SIDE // min(height, width))
    frames = [frame.repeat(zoom, 0).repeat(zoom, 1) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mp4":
        if not importlib.util.find_spec("imageio_ffmpeg"):
            raise UserError(
                "An MP4 needs imageio: pip install -r requirements-video.txt, or give "
                "FILE.gif"
            )
        import imageio.v3

        frames = [np.broadcast_to(f[..., :3], (*f.shape[:2], 3)) for f in frames]
        # H.264 takes even sides only, and few players anything but yuv420p.
        imageio.v3.imwrite(
            path,
            np.stack([f[: f.shape[0] // 2 * 2, : f.shape[1] // 2 * 2] for f in frames]),
            fps=frames_per_second,
            codec="libx264",
            macro_block_size=2,
        )
        return
    first, *others = (
        Image.fromarray(frame[..., 0] if channels == 1 else frame) for frame in frames
    )
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / frames_per_second),
        loop=0,
    )
