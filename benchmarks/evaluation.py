"""How long an evaluation takes, part by part.

    python benchmarks/evaluation.py --config=mnist --num_images=10000

The networks are untrained, which changes nothing for time. The cache is temporary, so
that the extractor is trained first. Prints one JSON line.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow

METRICS = ("frechet", "kernel", "class_score", "precision_recall", "density_coverage")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits", help="preset")
    parser.add_argument("--num_images", type=measuring.positive, default=10_000)
    arguments = parser.parse_args()
    if arguments.num_images < 10:
        parser.error(f"--num_images is 10 or more. Received: {arguments.num_images}")
    start_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAGAN_TF_CACHE"] = folder
        measure(arguments)


def measure(arguments):
    from sagan_tf import load_preset
    from sagan_tf.data import with_classes
    from sagan_tf.evaluation import Evaluator, load_extractor
    from sagan_tf.evaluation.image_sets import find_images, generated_images
    from sagan_tf.evaluation.metrics import METRICS as ALL_METRICS
    from sagan_tf.models.builders import build_generator
    from sagan_tf.sampling import Sampler

    config = with_classes(load_preset(arguments.config))
    sampler = Sampler(build_generator(config), config.latent_distribution)
    fake = generated_images(sampler, "generator", 0, arguments.num_images)
    real = find_images("train", config, arguments.num_images)

    seconds = {}

    def timed(name, function):
        begin = time.perf_counter()
        result = function()
        seconds[name] = round(time.perf_counter() - begin, 2)
        return result

    extractor = timed("extractor_trained", lambda: load_extractor("auto", config))
    evaluator = timed("real_features", lambda: make(Evaluator, extractor, real))
    timed("real_features_cached", lambda: make(Evaluator, extractor, real))
    timed("sampling", lambda: sampler.generate(arguments.num_images))
    features, _ = timed(
        "sampling_features_and_frechet", lambda: evaluator.compute(fake, ["frechet"])
    )
    for name in METRICS:
        metric = ALL_METRICS[name]
        timed(name, lambda metric=metric: metric.compute(evaluator.real, features, 0))
    measuring.print_result(
        config=arguments.config,
        num_images=arguments.num_images,
        num_real=evaluator.real.gaussian.count,
        num_features=len(evaluator.real.gaussian.mean),
        seconds=seconds,
        peak_memory_gib=measuring.peak_memory_gib(),
    )


def make(evaluator, extractor, real):
    return evaluator(extractor, real, METRICS, show_progress=False)


if __name__ == "__main__":
    measuring.run_main(main)
