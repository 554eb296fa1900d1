"""What the benchmarks share: timing, counting and the machine."""

import argparse
import json
import math
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sagan_tf import machine
from sagan_tf.errors import UserError
from sagan_tf.text import first_line

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def run_main(main):
    """Runs a script's main function; a mistake of the user is one line."""
    try:
        main()
    except (UserError, ValueError) as error:
        sys.exit(f"Error: {first_line(error)}")
    except subprocess.CalledProcessError as error:
        said = error.stderr or b""
        said = said.decode() if isinstance(said, bytes) else said
        last = said.strip().splitlines()[-1:] or [str(error)]
        sys.exit(last[0])


def positive(text):
    """Returns a positive integer, for `argparse`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a positive integer. Received: {text}")
    return int(text)


def positives(text):
    """Returns positive integers that are joined by commas, for `argparse`."""
    return tuple(positive(part) for part in text.split(","))


def time_calls(function, repeats, warm_up=2):
    """Returns the seconds of each call of `function`, after calls that do not count."""
    for _ in range(warm_up):
        function()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return seconds


def alternate(functions, repeats, warm_up=2):
    """Times several functions in turns, so that all see the same noise.

    Args:
        functions: Dict of functions.
        repeats: Integer, turns.
        warm_up: Integer, turns that do not count.

    Returns:
        A dict of the lists of seconds.
    """
    seconds = {name: [] for name in functions}
    for turn in range(warm_up + repeats):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def summarize(seconds):
    """Returns the median and the quartiles."""
    if len(seconds) == 1:
        seconds = 2 * seconds
    quarters = statistics.quantiles(seconds, n=4, method="inclusive")
    return {
        "seconds": round(statistics.median(seconds), 5),
        "seconds_quartiles": [round(quarters[0], 5), round(quarters[2], 5)],
    }


def peak_memory_gib():
    """Returns the peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where `ru_maxrss` begins with that of the parent
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())
        return round(int(kibibytes) / 2**20, 2)
    unit = 1 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 2)


def measure_ceiling(dtype, size=4096, repeats=5):
    """Returns the GFLOP/s of a product of two square matrices."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((size, size)), dtype)
    multiply = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
    return 2 * size**3 / min(time_calls(lambda: multiply().numpy(), repeats)) / 1e9


def count_gflop(function):
    """Returns the GFLOP of the matrix products and convolutions of a graph.

    Those within loops are not counted.

    Args:
        function: Concrete function, whose tensors have known shapes.
    """
    return sum(map(_count_operation, function.graph.get_operations())) / 1e9


def _count_operation(operation):
    kind, outputs = operation.type, operation.outputs
    if kind == "Conv2D":
        values, kernel = outputs[0].shape, operation.inputs[1].shape
    elif kind == "Conv2DBackpropInput":
        values, kernel = operation.inputs[2].shape, operation.inputs[1].shape
    elif kind == "Conv2DBackpropFilter":
        values, kernel = operation.inputs[2].shape, outputs[0].shape
    elif kind == "MatMul":
        shape = operation.inputs[0].shape
        summed = shape[0 if operation.get_attr("transpose_a") else 1]
        return 2 * math.prod(outputs[0].shape) * summed
    elif kind.startswith("BatchMatMul"):
        shape = operation.inputs[0].shape
        summed = shape[-2 if operation.get_attr("adj_x") else -1]
        return 2 * math.prod(outputs[0].shape) * summed
    else:
        return 0
    return 2 * math.prod(values) * math.prod(kernel[:3])


def describe_machine():
    """Returns the processor, the libraries, the number of GPUs and the commit."""
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    return {**machine.describe_machine(), "gpus": gpus, "commit": _commit()}


def _commit():
    command = ["git", "describe", "--always", "--dirty"]
    folder = Path(__file__).parent
    try:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def print_result(**result):
    """Prints one JSON line with the machine."""
    print(json.dumps({**result, "machine": describe_machine()}), flush=True)
