"""How long commands take to begin, beside TensorFlow's own import.

    python benchmarks/startup.py

Each is a new process; the run that is sampled is trained first. Prints one JSON line.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow

ROOT = Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits", help="preset")
    parser.add_argument("--repeats", type=measuring.positive, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, new = f"{folder}/run", f"{folder}/new"
        train = [*_command("train"), f"--config={arguments.config}"]
        time_process([*train, "--steps=1", f"--workdir={run}"])
        cases = {
            "import_tensorflow": [sys.executable, "-c", "import tensorflow"],
            "import_keras": [sys.executable, "-c", "import keras"],
            "help": [*_command("train"), "--help"],
            "dry_run": [*train, "--dry_run"],
            "sample": [*_command("sample"), f"--workdir={run}", f"--output={new}.png"],
        }
        seconds = {name: [] for name in [*cases, "first_step"]}
        for turn in range(arguments.repeats):
            for name, command in cases.items():
                seconds[name].append(time_process(command))
            command = [*train, f"--workdir={new}-{turn}", "--steps=1"]
            seconds["first_step"].append(time_first_step(command))
            Path(f"{new}.png").unlink(missing_ok=True)
    start_tensorflow()
    measuring.print_result(
        config=arguments.config,
        seconds={k: round(statistics.median(v), 2) for k, v in seconds.items()},
    )


def _command(name):
    return [sys.executable, "-m", "sagan_tf", name]


def time_process(command):
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - begin


def time_first_step(command):
    """Returns the seconds until the progress of the first step is printed."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        text = b""
        while b"Step 1 of" not in text:
            new = process.stderr.read1()
            if not new:
                raise ValueError(text.decode().strip().splitlines()[-1])
            text += new
        return time.perf_counter() - begin
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    measuring.run_main(main)
