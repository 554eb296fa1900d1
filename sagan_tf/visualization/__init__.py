"""Pictures of what a model makes."""

from sagan_tf.visualization.image_grid import save_image_grid

__all__ = ["save_image_grid"]
