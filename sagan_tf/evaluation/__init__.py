"""Metrics of a run's images, each with its protocol and its yardsticks."""

from sagan_tf.evaluation.checks import outline, possible_metrics
from sagan_tf.evaluation.evaluate import Evaluator, evaluate
from sagan_tf.evaluation.extractors import (
    choose_extractor,
    has_class_probabilities,
    load_extractor,
)
from sagan_tf.evaluation.image_sets import (
    find_images,
    find_real_images,
    generated_images,
)
from sagan_tf.evaluation.metrics import (
    METRICS,
    check_metrics,
    check_published,
    score_name,
)
from sagan_tf.evaluation.yardsticks import (
    check_extractor,
    find_fault,
    measure_yardsticks,
)

__all__ = [
    "METRICS",
    "Evaluator",
    "check_extractor",
    "check_metrics",
    "check_published",
    "choose_extractor",
    "evaluate",
    "find_fault",
    "find_images",
    "find_real_images",
    "generated_images",
    "has_class_probabilities",
    "load_extractor",
    "measure_yardsticks",
    "outline",
    "possible_metrics",
    "score_name",
]
