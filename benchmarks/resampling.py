"""Convolutions with resampling, computed as one ("fused") or one after the other.

    python benchmarks/resampling.py --batch_size=8 --precision=float32

Forward and backward at the blocks of the 128 px networks, in turns; one JSON line last.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow

# The smaller map's resolution, channels at it, and channels at the larger map.
BLOCKS = (
    (4, 1024, 1024),
    (8, 1024, 512),
    (16, 512, 256),
    (32, 256, 128),
    (64, 128, 64),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=measuring.positive, default=8)
    parser.add_argument("--precision", choices=measuring.PRECISIONS, default="float32")
    parser.add_argument("--repeats", type=measuring.positive, default=7)
    arguments = parser.parse_args()
    start_tensorflow()
    from sagan_tf.layers import PoolingConv2D, UpsamplingConv2D

    cases = []
    for resolution, channels, others in BLOCKS:
        for layer_class in (UpsamplingConv2D, PoolingConv2D):
            pools = layer_class is PoolingConv2D
            size = 2 * resolution if pools else resolution
            inputs, filters = (others, channels) if pools else (channels, others)
            shape = (arguments.batch_size, size, size, inputs)
            steps = {
                name: make_step(layer_class, smallest, filters, shape, arguments)
                for name, smallest in (("plain", 10**6), ("fused", 1))
            }
            seconds = measuring.alternate(steps, arguments.repeats)
            medians = {
                name: measuring.summarize(values)["seconds"]
                for name, values in seconds.items()
            }
            case = {
                "layer": layer_class.__name__,
                "smaller_map": resolution,
                "inputs": inputs,
                "filters": filters,
                **medians,
                "times_as_fast": round(medians["plain"] / medians["fused"], 2),
            }
            print(case, flush=True)
            cases.append(case)
    measuring.print_result(
        batch_size=arguments.batch_size, precision=arguments.precision, cases=cases
    )


def make_step(layer_class, smallest_fused, filters, shape, arguments):
    """Returns a function that runs a layer forward and backward."""
    import tensorflow as tf

    class Layer(layer_class):
        pass

    Layer.smallest_fused = smallest_fused
    layer = Layer(filters, 3, dtype=arguments.precision)
    x = tf.cast(tf.random.normal(shape), layer.compute_dtype)

    @tf.function
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
        return tape.gradient(outputs, [x, layer.kernel.value], outputs)

    layer.build(shape)
    return lambda: [gradient[0, 0, 0, 0].numpy() for gradient in compute(x)]


if __name__ == "__main__":
    measuring.run_main(main)
