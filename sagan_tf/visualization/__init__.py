"""Pictures of what a model generates and attends to."""

from sagan_tf.visualization.image_grid import (
    arrange_classes,
    make_image_grid,
    save_image_grid,
)

__all__ = ["arrange_classes", "make_image_grid", "save_image_grid"]
