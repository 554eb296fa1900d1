"""The training step beside that of a PyTorch implementation, in turns.

    python benchmarks/compare_pytorch.py --reference=DIR --net=64 --precision=float32

DIR holds the program of the other side, `bench_torch.py`, which takes `--net`,
`--batch`, `--steps` and `--bf16` and prints a line with "SECONDS s/step". Each turn is
a new process for both sides, and the ratio of the medians is printed, with one JSON
line last.
"""

import argparse
import importlib.util
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow

NETS = {"64": ("celeb_a", 64), "128": ("imagenet128", 8)}  # preset, batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", required=True, type=Path)
    parser.add_argument("--net", choices=tuple(NETS), default="64")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="timed in each turn")
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("Error: it needs PyTorch: pip install -r requirements-torch.txt")
    if not (arguments.reference / "bench_torch.py").exists():
        sys.exit(f"Error: there is no bench_torch.py in {arguments.reference}")
    preset, batch = NETS[arguments.net]
    seconds = {"sagan_tf": [], "pytorch": []}
    for _ in range(arguments.turns):
        seconds["pytorch"].append(time_pytorch(arguments, batch))
        seconds["sagan_tf"].append(time_own(arguments, preset, batch))
        print({name: values[-1] for name, values in seconds.items()}, flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    start_tensorflow()
    measuring.print_result(
        preset=preset,
        batch_size=batch,
        precision=arguments.precision,
        seconds_per_step=medians,
        turns=seconds,
        ratio=round(medians["pytorch"] / medians["sagan_tf"], 2),
    )


def time_own(arguments, preset, batch):
    script = Path(__file__).with_name("train_step.py")
    command = [sys.executable, script, f"--config={preset}", f"--batch_size={batch}"]
    command += [f"--precision={arguments.precision}", f"--repeats={arguments.steps}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds_per_step"]


def time_pytorch(arguments, batch):
    command = [sys.executable, "-B", "bench_torch.py", f"--net={arguments.net}"]
    command += [f"--batch={batch}", f"--steps={arguments.steps}"]
    if arguments.precision == "mixed_bfloat16":
        command.append("--bf16")
    done = subprocess.run(
        command, cwd=arguments.reference, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(re.search(r"([\d.]+) s/step", done.stdout)[1])


if __name__ == "__main__":
    main()
