"""Pictures of what a model makes."""

from sagan_tf.visualization.image_grid import arrange_classes, save_image_grid

__all__ = ["arrange_classes", "save_image_grid"]
