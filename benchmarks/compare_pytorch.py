"""The training step, or sampling, beside that of a PyTorch implementation, in turns.

    python benchmarks/compare_pytorch.py --reference=DIR --net=64 --precision=float32
    python benchmarks/compare_pytorch.py --reference=DIR --sample=10000

DIR holds the program of the other side, `bench_torch.py`, which takes `--net`,
`--batch`, `--steps` and `--bf16` and prints a line with "SECONDS s/step", and for
sampling `torch_sagan64.py` with its `Generator`. Each turn is a new process for both
sides, and the ratio of the medians is printed, with one JSON line last.
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

# The 64 px generator's images as bytes.
SAMPLE_IN_PYTORCH = """
import sys, time, torch
from torch_sagan64 import Generator
generator, (count, batch) = Generator().eval(), map(int, sys.argv[1:])
with torch.inference_mode():
    for turn in range(2):
        begin = time.perf_counter()
        for _ in range(-(-count // batch) if turn else 1):
            images = generator(torch.randn(batch, 128))[0]
            images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()
print(time.perf_counter() - begin)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference",
        required=True,
        type=Path,
        help="folder of bench_torch.py, which takes --net, --batch, --steps and --bf16 "
        "and prints '1.23 s/step'",
    )
    parser.add_argument("--net", choices=tuple(NETS), default="64")
    parser.add_argument("--precision", choices=measuring.PRECISIONS, default="float32")
    parser.add_argument("--turns", type=measuring.positive, default=3)
    parser.add_argument(
        "--steps", type=measuring.positive, default=6, help="timed in each turn"
    )
    parser.add_argument(
        "--sample",
        type=measuring.positive,
        help="sample this many 64 px images instead of training",
    )
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("Error: it needs PyTorch: pip install -r requirements-torch.txt")
    if not (arguments.reference / "bench_torch.py").exists():
        sys.exit(f"Error: There is no bench_torch.py in {arguments.reference}")
    if arguments.sample and (arguments.net, arguments.precision) != ("64", "float32"):
        sys.exit("Error: --sample is for --net=64 in float32")
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
        images_sampled=arguments.sample,
        seconds=medians,
        turns=seconds,
        ratio=round(medians["pytorch"] / medians["sagan_tf"], 2),
    )


def time_own(arguments, preset, batch):
    script = "sampling.py" if arguments.sample else "train_step.py"
    command = [sys.executable, Path(__file__).with_name(script), f"--config={preset}"]
    command += [f"--batch_size={batch}", f"--precision={arguments.precision}"]
    if arguments.sample:
        command += [f"--num_images={arguments.sample}", "--repeats=2"]
        return json.loads(run(command).splitlines()[-1])["sampling"]["seconds"]
    command.append(f"--repeats={arguments.steps}")
    return json.loads(run(command).splitlines()[-1])["seconds_per_step"]


def time_pytorch(arguments, batch):
    command = [sys.executable, "-B"]
    if arguments.sample:
        command += ["-c", SAMPLE_IN_PYTORCH, str(arguments.sample), str(batch)]
        return float(run(command, arguments.reference))
    command += ["bench_torch.py", f"--net={arguments.net}"]
    command += [f"--batch={batch}", f"--steps={arguments.steps}"]
    if arguments.precision == "mixed_bfloat16":
        command.append("--bf16")
    said = run(command, arguments.reference)
    found = re.search(r"([\d.]+) s/step", said)
    if not found:
        raise ValueError(f"bench_torch.py printed no '... s/step', but: {said[-200:]}")
    return float(found[1])


def run(command, folder=None):
    """Returns the standard output of a command."""
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    measuring.run_main(main)
