import io

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data.preprocessing import prepare_image, scale


def gradient(width, height):
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, np.full_like(x, 128)], axis=-1).round().astype(np.uint8)


def through_file(picture, format, **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    file.seek(0)
    return Image.open(file)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_file_format_is_read(format):
    picture = through_file(Image.fromarray(gradient(96, 64)), format)
    expected = gradient(96, 64)[:, 16:80]  # the central square
    actual = prepare_image(picture, 64, 3)
    assert actual.shape == (64, 64, 3) and actual.dtype == np.uint8
    # A GIF has 256 colors.
    assert np.abs(actual.astype(int) - expected).mean() < (12 if format == "GIF" else 3)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_mode_keeps_black_and_white(mode, channels):
    values = np.zeros((40, 40), np.uint8)
    values[:, 20:] = 255
    picture = Image.fromarray(values)
    if mode == "I;16":
        picture = Image.fromarray(values.astype(np.uint16) * 257)
    elif mode == "P":
        picture = picture.convert("RGB").convert("P")
    else:
        picture = picture.convert(mode)
    assert picture.mode == mode
    actual = prepare_image(picture, 32, channels)
    assert actual.shape == (32, 32, channels)
    np.testing.assert_allclose(actual[:, :12, : min(channels, 3)], 0, atol=2)
    np.testing.assert_allclose(actual[:, 20:, : min(channels, 3)], 255, atol=2)
    if channels == 4:
        assert (actual[..., 3] == 255).all()


def test_transparent_pixels_become_white_and_are_kept_with_four_channels():
    values = np.zeros((32, 32, 4), np.uint8)
    values[:16] = (255, 0, 0, 255)
    picture = Image.fromarray(values)
    shown = prepare_image(picture, 32, 3)
    np.testing.assert_array_equal(shown[:16], [[[255, 0, 0]] * 32] * 16)
    np.testing.assert_array_equal(shown[16:], 255)
    np.testing.assert_array_equal(prepare_image(picture, 32, 4), values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = Image.fromarray(gradient(64, 64))
    # A camera held that way would store this.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = upright
    if orientation in stored:
        picture = upright.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = through_file(picture, "PNG", exif=exif)
    np.testing.assert_array_equal(prepare_image(picture, 64, 3), gradient(64, 64))


@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (33, 57)])
def test_aspect_ratio_is_kept(width, height):
    # A central disc must stay as wide as it is high.
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    radius = min(width, height) / 4
    disc = np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5) < radius
    actual = prepare_image(Image.fromarray(np.uint8(disc * 255)), 32, 1)[..., 0] > 127
    assert np.ptp(np.flatnonzero(actual.any(0))) == np.ptp(
        np.flatnonzero(actual.any(1))
    )
    assert abs(actual.mean() - np.pi / 16) < 0.03


def test_shrinking_is_antialiased():
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 255  # too fine for the result to show
    actual = prepare_image(Image.fromarray(stripes), 32, 1)
    np.testing.assert_allclose(actual, 127.5, atol=4)


def test_the_crop_is_central():
    values = gradient(178, 218)  # CelebA's size
    actual = prepare_image(Image.fromarray(values), 160, 3, crop_size=160)
    np.testing.assert_array_equal(actual, values[29:189, 9:169])


def test_a_picture_smaller_than_the_crop_is_refused():
    with pytest.raises(ValueError, match="smaller than the crop of 160 px"):
        prepare_image(Image.new("RGB", (178, 100)), 64, 3, crop_size=160)


def test_28_px_is_padded_to_32():
    values = gradient(28, 28)[..., 0]
    actual = prepare_image(Image.fromarray(values), 32, 1)[..., 0]
    np.testing.assert_array_equal(actual[2:30, 2:30], values)
    assert actual.sum() == values.sum()


def test_scale_spans_minus_one_to_one():
    scaled = scale(np.array([0, 255], np.uint8))
    np.testing.assert_array_equal(scaled, [-1.0, 1.0])
