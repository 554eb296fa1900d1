"""From any decoded picture to a square uint8 image of the training size."""

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def prepare_image(picture, image_size, channels, crop_size=None):
    """Turns a picture upright, crops it, resizes it and converts its mode.

    The crop keeps the aspect ratio: the largest central square, or a central
    square of `crop_size`. Shrinking is antialiased. A 28 px picture for a 32 px
    model is padded with black instead, so that its pixels stay as they are.

    Args:
        picture: `PIL.Image.Image` of any size and mode.
        image_size: Integer, the result's side in pixels.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        crop_size: Integer or None, side of a central crop made first.

    Returns:
        uint8 array `[image_size, image_size, channels]`.

    Raises:
        ValueError: if the picture is smaller than the crop.
    """
    picture = _convert(ImageOps.exif_transpose(picture), _MODES[channels])
    if crop_size is not None:
        if min(picture.size) < crop_size:
            raise ValueError(f"smaller than the crop of {crop_size} px")
        left, top = ((side - crop_size) // 2 for side in picture.size)
        picture = picture.crop((left, top, left + crop_size, top + crop_size))
    if picture.size == (28, 28) and image_size == 32:
        picture = ImageOps.expand(picture, border=2)
    elif picture.size != (image_size, image_size):
        picture = ImageOps.fit(
            picture, (image_size, image_size), Image.Resampling.LANCZOS
        )
    return np.asarray(picture, np.uint8).reshape(image_size, image_size, channels)


def scale(images):
    """uint8 images in `[0, 255]` to float32 in `[-1, 1]`."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def _convert(picture, mode):
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit and float greys: Pillow's own conversion would clip them to 255.
        values = np.asarray(picture, np.float32)
        top = 65535.0 if values.max() > 255 else 255.0 if values.max() > 1 else 1.0
        picture = Image.fromarray(np.uint8(np.clip(values / top, 0, 1) * 255 + 0.5))
    if mode != "RGBA" and picture.has_transparency_data:
        # What is transparent is shown as on white paper.
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert(mode)
