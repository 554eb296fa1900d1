"""How fast images are sampled, and how much of that is the generator itself.

    python benchmarks/sampling.py --config=digits --num_images=20000

The networks are untrained, which changes nothing for time. Prints one JSON line.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits", help="preset")
    parser.add_argument("--num_images", type=measuring.positive, default=20_000)
    parser.add_argument("--batch_size", type=measuring.positive, default=64)
    parser.add_argument("--precision", choices=measuring.PRECISIONS, default="float32")
    parser.add_argument("--repeats", type=measuring.positive, default=3)
    arguments = parser.parse_args()
    start_tensorflow()
    import tensorflow as tf

    from sagan_tf import load_preset
    from sagan_tf.models.builders import build_generator
    from sagan_tf.sampling import Sampler

    config = dataclasses.replace(
        load_preset(arguments.config), precision=arguments.precision
    )
    if config.conditional:
        config = dataclasses.replace(config, classes=("one", "two"))
    generator = build_generator(config)
    sampler = Sampler(generator, config.latent_distribution)
    count, batch = arguments.num_images, arguments.batch_size
    generate = tf.function(lambda *inputs: generator(*inputs, training=False))
    inputs = [tf.random.normal((batch, config.latent_dim))]
    if config.conditional:
        inputs.append(tf.zeros((batch,), tf.int32))

    def run_generator():
        for _ in range(-(-count // batch)):
            generate(*inputs).numpy()

    seconds = measuring.alternate(
        {
            "generator": run_generator,
            "sampling": lambda: sampler.generate(count, batch_size=batch),
        },
        arguments.repeats,
        warm_up=1,
    )
    found = {name: measuring.summarize(values) for name, values in seconds.items()}
    sampling = found["sampling"]["seconds"]
    measuring.print_result(
        config=arguments.config,
        num_images=count,
        batch_size=batch,
        precision=arguments.precision,
        **found,
        images_per_second=round(count / sampling, 1),
        times_the_generator=round(sampling / found["generator"]["seconds"], 3),
        peak_memory_gib=measuring.peak_memory_gib(),
    )


if __name__ == "__main__":
    measuring.run_main(main)
