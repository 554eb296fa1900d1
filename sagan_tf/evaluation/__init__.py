"""Figures that say how good a run's images are, and by which protocol."""

from sagan_tf.evaluation.evaluate import METRICS, check_metrics, evaluate, save_figures
from sagan_tf.evaluation.extractors import load_extractor
from sagan_tf.evaluation.image_sets import find_images, generated_images

__all__ = [
    "METRICS",
    "check_metrics",
    "evaluate",
    "find_images",
    "generated_images",
    "load_extractor",
    "save_figures",
]
