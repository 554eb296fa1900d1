"""How long a training step takes, and how close that is to the machine's limit.

    python benchmarks/train_step.py --config=configs/celeb_a.py --batch_size=64 \
        --precision=float32

takes the flags of `sagan-tf train`, and `--repeats`, the steps timed (10). It trains on
random images, which are in memory, and prints one JSON line. The limit ("ceiling") is
the speed of a product of two 4096x4096 matrices in the same precision. Operations
within loops, which attention in chunks has, are not counted.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from absl import flags

from benchmarks import measuring
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags
from sagan_tf.start_tensorflow import start_tensorflow

NUM_CLASSES = 1000  # of conditional networks, as ImageNet's


def main():
    values = flags.FlagValues()
    define_config_flags(values)
    flags.DEFINE_integer("repeats", 10, "Steps timed.", 2, flag_values=values)
    if {"-h", "--help"} & set(sys.argv):
        print(f"{__doc__}\nFlags of training: python -m sagan_tf train --help")
        return
    parse_flags(values, sys.argv[1:])
    config = config_from_flags(values)
    start_tensorflow()
    run(config, values.repeats)


def run(config, repeats):
    import keras
    import tensorflow as tf

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    step, train_step = make_step(config)
    seconds = measuring.time_calls(step, repeats)
    memory = measuring.peak_memory_gib()
    found = measuring.summarize(seconds)
    dtype = keras.DTypePolicy(config.precision).compute_dtype
    gflop = measuring.count_gflop(train_step)
    ceiling = measuring.measure_ceiling(dtype)
    measuring.print_result(
        dataset=config.dataset,
        architecture=config.architecture,
        image_size=config.image_size,
        batch_size=config.batch_size,
        precision=config.precision,
        jit_compile=config.jit_compile,
        seconds_per_step=found["seconds"],
        seconds_quartiles=found["seconds_quartiles"],
        images_per_second=round(config.batch_size / found["seconds"], 1),
        gflop_per_step=round(gflop, 4),
        ceiling_gflop_per_second=round(ceiling),
        share_of_ceiling=round(gflop / found["seconds"] / ceiling, 3),
        peak_memory_gib=memory,
    )


def make_step(config):
    """Returns a function that runs one step, and the step's concrete function."""
    import numpy as np
    import tensorflow as tf

    from sagan_tf.models.builders import build_sagan

    classes = tuple(map(str, range(NUM_CLASSES))) if config.conditional else ()
    config = dataclasses.replace(config, classes=classes)
    model = build_sagan(config)
    size = config.batch_size * config.discriminator_steps
    random = np.random.default_rng(0)
    shape = (size, config.image_size, config.image_size, config.channels)
    data = tf.constant(random.uniform(-1, 1, shape), tf.float32)
    if config.conditional:
        data = data, tf.constant(random.integers(0, NUM_CLASSES, size), tf.int32)
    function = tf.function(
        model.train_step, autograph=False, jit_compile=config.jit_compile
    )
    concrete = function.get_concrete_function(data)

    def step():
        float(function(data)["generator_loss"])

    return step, concrete


if __name__ == "__main__":
    measuring.run_main(main)
