"""Trains a list of runs one after the other, evaluates them, and compares them."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.tables import print_tables
from sagan_tf.errors import UserError
from sagan_tf.report.page import write_report
from sagan_tf.signals import Signals


def run_experiment(
    description: str,
    variants: Mapping[str, Sequence[str]],
    folder: str,
    scored_steps: Sequence[int] = (),
) -> None:
    """Runs an experiment from the command line.

    Each variant is trained with each seed, in an ordinary run directory
    `FOLDER/VARIANT_seedN`. The same command after an interruption resumes: complete
    runs are left as they are.

    Args:
        description: What the experiment asks.
        variants: Flags of `sagan-tf train` by name.
        folder: Default of `--folder`.
        scored_steps: Steps of the checkpoints to score, by default the last one. With
            several, a second table compares the runs after equal times.
    """
    # Without abbreviations: --seed must not be taken for --seeds.
    parser = argparse.ArgumentParser(
        description=f"{description} Other flags go to `sagan-tf train`.",
        allow_abbrev=False,
    )
    parser.add_argument("--folder", default=folder, help="folder of the runs")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of each variant")
    parser.add_argument("--variants", help="some of them, joined by commas")
    parser.add_argument("--num_images", type=int, help="generated images per score")
    parser.add_argument("--no_scores", action="store_true", help="only train")
    parser.add_argument(
        "--list", action="store_true", help="print the commands, and run nothing"
    )
    arguments, others = parser.parse_known_args()
    chosen = arguments.variants.split(",") if arguments.variants else list(variants)
    unknown = [name for name in chosen if name not in variants]
    if unknown:
        parser.error(f"no variant {unknown[0]}; there are {', '.join(variants)}")
    workdirs = {
        Path(arguments.folder, f"{name}_seed{seed}"): [
            *variants[name],
            *others,
            f"--seed={seed}",
        ]
        for name in chosen
        for seed in arguments.seeds.split(",")
    }
    commands = [
        ["-m", "sagan_tf", "train", *flags, f"--workdir={workdir}"]
        for workdir, flags in workdirs.items()
    ]
    if arguments.list:
        print("\n".join(shlex.join(["python", *command]) for command in commands))
        return
    count = arguments.num_images
    scored = [f"--num_images={count}"] if count else []
    if scored_steps:
        scored += ["--steps", *map(str, scored_steps)]
    failed = []
    for workdir, command in zip(workdirs, commands, strict=True):
        score = ["-m", "experiments.extractors", f"--workdir={workdir}", *scored]
        if not (_run(command) and (arguments.no_scores or _run(score))):
            failed.append(workdir)
    finished = [workdir for workdir in workdirs if workdir not in failed]
    try:
        if finished:
            print_tables(finished)
            if len(scored_steps) > 1:
                print_tables(finished, equal_time=True)
            report = write_report(finished, Path(arguments.folder, "report.html"))
            print(f"Report: {report}")
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None
    if failed:
        names = ", ".join(map(str, failed))
        raise SystemExit(f"Error: {names} failed. The same command resumes them")


def _run(arguments: Sequence[str]) -> bool:
    """Runs Python, and returns whether it succeeded. Ctrl-C and SIGTERM end both."""
    print(f"$ {shlex.join(['python', *arguments])}", flush=True)
    # In a session of its own: Ctrl-C reaches this process alone, which passes on one
    # signal. A second one would end training before it has saved its step.
    command = [sys.executable, *arguments]
    with Signals(), subprocess.Popen(command, start_new_session=True) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt as interruption:
            process.terminate()  # training saves its step then
            process.wait()
            raise SystemExit(getattr(interruption, "exit_code", 130)) from None
    if code in (130, 143):
        raise SystemExit(code)
    return code == 0
