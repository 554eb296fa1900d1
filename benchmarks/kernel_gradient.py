"""The weight gradient of a convolution, by TensorFlow or by matrix products.

    python benchmarks/kernel_gradient.py --precision=float32

At convolutions of the 64 px and 128 px networks, in turns; one JSON line last.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow

# Batch, resolution of the inputs, channels, filters, kernel size, strides.
CONVOLUTIONS = (
    (64, 8, 256, 512, 4, 2),
    (64, 16, 128, 256, 4, 2),
    (64, 32, 64, 128, 4, 2),
    (8, 4, 1024, 1024, 3, 1),
    (8, 8, 1024, 1024, 3, 1),
    (8, 16, 512, 512, 3, 1),
    (8, 32, 256, 256, 3, 1),
    (8, 16, 512, 1024, 4, 2),
    (8, 32, 256, 512, 4, 2),
    (8, 64, 128, 256, 4, 2),
    (32, 8, 64, 128, 4, 2),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=measuring.PRECISIONS, default="float32")
    parser.add_argument("--repeats", type=measuring.positive, default=15)
    arguments = parser.parse_args()
    start_tensorflow()
    import keras

    dtype = keras.DTypePolicy(arguments.precision).compute_dtype
    cases = []
    for sizes in CONVOLUTIONS:
        seconds = measuring.alternate(make_steps(*sizes, dtype), arguments.repeats)
        medians = {
            name: measuring.summarize(values)["seconds"]
            for name, values in seconds.items()
        }
        ratio = round(medians["tensorflow"] / medians["products"], 2)
        cases.append({"sizes": sizes, **medians, "times_as_fast": ratio})
        print(cases[-1], flush=True)
    measuring.print_result(precision=dtype, cases=cases)


def make_steps(batch, resolution, channels, filters, kernel_size, strides, dtype):
    """Returns a function for each of both ways."""
    import tensorflow as tf

    from sagan_tf.layers.kernel_gradient import differentiate_by_kernel

    size = resolution // strides
    larger = tf.random.normal((batch, resolution, resolution, channels))
    smaller = tf.random.normal((batch, size, size, filters))
    larger, smaller = tf.cast(larger, dtype), tf.cast(smaller, dtype)

    @tf.function
    def use_tensorflow(larger, smaller):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=larger,
            filter_sizes=(kernel_size, kernel_size, channels, filters),
            out_backprop=smaller,
            strides=(1, strides, strides, 1),
            padding="SAME",
        )

    @tf.function
    def use_products(larger, smaller):
        return differentiate_by_kernel(larger, smaller, kernel_size, strides)

    return {
        "tensorflow": lambda: use_tensorflow(larger, smaller)[0, 0, 0, 0].numpy(),
        "products": lambda: use_products(larger, smaller)[0, 0, 0, 0].numpy(),
    }


if __name__ == "__main__":
    measuring.run_main(main)
