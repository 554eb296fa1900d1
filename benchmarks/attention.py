"""Time and memory of self-attention, all scores at once ("plain") or in chunks.

    python benchmarks/attention.py --sizes=32,64 --batch_size=16 --channels=64

Forward and backward, each case in a process of its own, and one JSON line last. With
`--plot=FILE.png` the cases are drawn too (needs matplotlib). Memory is the most that
the process has grown by, besides the input, the weights and TensorFlow itself.
"""

import argparse
import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes",
        type=measuring.positives,
        default=(32, 64),
        help="map heights and widths",
    )
    parser.add_argument("--precisions", default="float32")
    parser.add_argument("--pool_sizes", type=measuring.positives, default=(1, 2))
    parser.add_argument("--chunk_sizes", default="None,auto")
    parser.add_argument("--batch_size", type=measuring.positive, default=16)
    parser.add_argument("--channels", type=measuring.positive, default=64)
    parser.add_argument("--repeats", type=measuring.positive, default=5)
    parser.add_argument("--plot", type=Path, help="FILE.png to draw")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.precisions.split(",")) - set(measuring.PRECISIONS)
    if unknown:
        parser.error(f"--precisions takes {', '.join(measuring.PRECISIONS)}")
    if arguments.plot and not arguments.plot.resolve().parent.is_dir():
        parser.error(f"--plot: there is no folder {arguments.plot.resolve().parent}")
    if arguments.case:
        measure(arguments, **json.loads(arguments.case))
    else:
        compare(arguments)


def compare(arguments):
    cases = []
    for size, precision, pool_size, chunk_size in itertools.product(
        arguments.sizes,
        arguments.precisions.split(","),
        arguments.pool_sizes,
        arguments.chunk_sizes.split(","),
    ):
        case = {
            "size": size,
            "precision": precision,
            "pool_size": pool_size,
            "chunk_size": int(chunk_size) if chunk_size.isdecimal() else chunk_size,
        }
        command = [sys.executable, __file__, *sys.argv[1:], "--case", json.dumps(case)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode == 0:
            found = json.loads(done.stdout)
        elif done.returncode == -signal.SIGKILL:  # it did not fit the memory
            found = {"seconds": None}
        else:
            sys.exit(f"{case}: failed")
        cases.append({**case, **found})
        print(cases[-1], flush=True)
    if arguments.plot:
        draw(cases, arguments.plot)
    start_tensorflow()
    shape = {"batch_size": arguments.batch_size, "channels": arguments.channels}
    measuring.print_result(**shape, cases=cases)


def measure(arguments, size, precision, pool_size, chunk_size):
    start_tensorflow()
    import tensorflow as tf

    from sagan_tf.layers import SelfAttention

    layer = SelfAttention(
        pool_size=pool_size,
        chunk_size=None if chunk_size == "None" else chunk_size,
        dtype=precision,
    )

    @tf.function
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(layer(x), tf.float32) ** 2)
        return tape.gradient(loss, [x, *layer.trainable_variables])

    compute(tf.random.normal((1, 8, 8, arguments.channels)))  # start-up
    x = tf.random.normal((arguments.batch_size, size, size, arguments.channels))
    layer.gamma.assign(0.5)
    before = measuring.peak_memory_gib()
    seconds = measuring.time_calls(lambda: compute(x)[0].numpy(), arguments.repeats)
    grown = round(measuring.peak_memory_gib() - before, 2)
    print(json.dumps({**measuring.summarize(seconds), "memory_gib": grown}))


def draw(cases, path):
    """Draws time and memory against the number of positions."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = {"None": "plain", "auto": "chunks"}
    keys = ("precision", "pool_size", "chunk_size")
    lines = dict.fromkeys(tuple(case[key] for key in keys) for case in cases)
    for precision, pool_size, chunk_size in lines:
        label = "full" if pool_size == 1 else f"pooled {pool_size}x{pool_size}"
        points = [
            (c["size"] ** 2, c["seconds"], c["memory_gib"])
            for c in cases
            if tuple(c[key] for key in keys) == (precision, pool_size, chunk_size)
            and c["seconds"]
        ]
        if not points:
            continue
        positions, seconds, memory = zip(*points, strict=True)
        style = "o--" if chunk_size == "None" else "o-"
        name = f"{label}, {names.get(chunk_size, chunk_size)}"
        if len({case["precision"] for case in cases}) > 1:
            name += f", {precision}"
        color = f"C{pool_size - 1}"
        axes[0].plot(positions, memory, style, color=color, label=name)
        axes[1].plot(positions, seconds, style, color=color, label=name)
    for axis, what in zip(axes, ("memory (GiB)", "time (s)"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="positions N", ylabel=what)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    measuring.run_main(main)
