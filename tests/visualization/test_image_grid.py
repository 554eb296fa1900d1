import numpy as np
import pytest
from PIL import Image

from sagan_tf.visualization import arrange_classes, save_image_grid


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_in_reading_order(channels, tmp_path):
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None]
    images = np.tile(images, (1, 2, 3, channels))
    path = tmp_path / "new" / "grid.png"
    save_image_grid(images, path)
    with Image.open(path) as picture:
        assert picture.size == (9, 4)  # three columns, two rows
        grid = np.asarray(picture).reshape(4, 9, channels)
    np.testing.assert_array_equal(grid[::2, ::3, 0], [[1, 2, 3], [4, 5, 0]])
    np.testing.assert_array_equal(grid[1::2, 2::3, -1], [[1, 2, 3], [4, 5, 0]])


def test_the_number_of_columns_can_be_given(tmp_path):
    save_image_grid(np.zeros((5, 2, 2, 1), np.uint8), tmp_path / "row.png", columns=5)
    with Image.open(tmp_path / "row.png") as picture:
        assert picture.size == (10, 2)


@pytest.mark.parametrize(
    ("images", "classes", "rows", "columns"),
    [(64, 10, 10, 6), (64, 3, 3, 21), (20, 10, 6, 3), (64, 1000, 10, 6), (1, 5, 1, 1)],
)
def test_each_class_has_a_row(images, classes, rows, columns):
    labels, width = arrange_classes(images, classes)
    assert width == columns
    np.testing.assert_array_equal(
        labels.reshape(rows, columns), np.arange(rows)[:, None].repeat(columns, axis=1)
    )


def test_without_classes_there_are_no_labels():
    assert arrange_classes(64, 0) == (None, None)
