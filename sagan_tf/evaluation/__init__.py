"""Metrics of a run's images, each with its protocol."""

from sagan_tf.evaluation.evaluate import evaluate, save_scores
from sagan_tf.evaluation.extractors import load_extractor
from sagan_tf.evaluation.image_sets import find_images, generated_images
from sagan_tf.evaluation.metrics import METRICS, check_metrics

__all__ = [
    "METRICS",
    "check_metrics",
    "evaluate",
    "find_images",
    "generated_images",
    "load_extractor",
    "save_scores",
]
