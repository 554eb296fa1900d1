"""The training step's time and memory against image size and width.

    python benchmarks/scaling.py --config=celeb_a --batch_size=8

runs `train_step.py` for each size and width, each in a process of its own, prints a row
for each, and one JSON line last. Further flags are those of `sagan-tf train`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    # Not to take --width for --widths.
    parser = argparse.ArgumentParser(
        description=f"{__doc__.splitlines()[0]} Other flags go to train_step.py.",
        allow_abbrev=False,
    )
    parser.add_argument("--sizes", type=measuring.positives, default=(32, 64, 128, 256))
    parser.add_argument("--widths", type=measuring.positives, default=(16, 32, 64))
    arguments, train_flags = parser.parse_known_args()
    rows = []
    for size in arguments.sizes:
        for width in arguments.widths:
            rows.append(measure(size, width, train_flags))
            print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
    start_tensorflow()
    measuring.print_result(flags=train_flags, rows=rows)


def measure(size, width, train_flags):
    command = [sys.executable, Path(__file__).with_name("train_step.py"), *train_flags]
    command += [f"--image_size={size}", f"--width={width}", "--repeats=4"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{size} px, width {width}: failed")
    result = json.loads(done.stdout.splitlines()[-1])
    wanted = ("seconds_per_step", "gflop_per_step", "peak_memory_gib")
    return {"image_size": size, "width": width, **{k: result[k] for k in wanted}}


if __name__ == "__main__":
    measuring.run_main(main)
