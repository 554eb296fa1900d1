"""From any decoded picture to a square uint8 image of the training size."""

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from sagan_tf.types import Tensor

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def prepare_image(
    picture: Image.Image,
    image_size: int,
    channels: int,
    crop_size: int | None = None,
) -> np.ndarray:
    """Applies a picture's orientation, crops it, resizes it and converts its mode.

    The crop keeps the aspect ratio: the largest central square, or a central square of
    `crop_size`. Shrinking is antialiased. A 28 px picture for a 32 px model is padded
    with black instead, so that its pixels do not change.

    Args:
        picture: `PIL.Image.Image` of any size and mode.
        image_size: Integer, pixels per side of the result.
        channels: 1 (grayscale), 3 (RGB) or 4 (RGBA).
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


def describe_crop(crop_size: int | None) -> str:
    """Returns `", crop of 160 px"`, to follow the name of images, or `""`."""
    return f", crop of {crop_size} px" if crop_size else ""


def scale(images: Tensor) -> Tensor:
    """Converts uint8 images in `[0, 255]` to float32 in `[-1, 1]`."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def _convert(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit and float grayscale: Pillow's own conversion would clip it to 255.
        values = np.asarray(picture, np.float32)
        top = 65535.0 if values.max() > 255 else 255.0 if values.max() > 1 else 1.0
        values = np.clip(values / top, 0, 1) * 255 + 0.5
        picture = Image.fromarray(values.astype(np.uint8))
    if mode != "RGBA" and picture.has_transparency_data:
        # Transparent pixels become white.
        picture = picture.convert("RGBA")
        background = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(background, picture)
    return picture.convert(mode)
