"""Trains a list of runs one after the other, evaluates them, and compares them."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from experiments.tables import print_tables
from sagan_tf.errors import UserError
from sagan_tf.report.page import check_packages, write_report
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
    arguments, chosen, others = _parse(description, variants, folder)
    commands: dict[Path, list[str]] = {}
    # All variants are trained before the next seed, so that what else the machine does
    # in an hour slows none of them alone.
    for seed in arguments.seeds:
        for name in chosen:
            workdir = Path(arguments.folder, f"{name}_seed{seed}")
            flags = [*variants[name], *others, f"--seed={seed}"]
            command = ["-m", "sagan_tf", "train", *flags, f"--workdir={workdir}"]
            commands[workdir] = command
    if arguments.list:
        # At once: a reader such as head may end after its first lines.
        print("\n".join(shlex.join(["python", *own]) for own in commands.values()))
        return
    try:
        check_packages()
    except UserError as error:  # now, and not after hours of training
        raise SystemExit(f"Error: {error}") from None
    scored = [f"--num_images={arguments.num_images}"] if arguments.num_images else []
    if scored_steps:
        scored += ["--steps", *map(str, scored_steps)]
    failed = []
    for workdir, command in commands.items():
        score = ["-m", "experiments.extractors", f"--workdir={workdir}", *scored]
        if not (_run(command) and (arguments.no_scores or _run(score))):
            failed.append(workdir)
    _compare(
        [workdir for workdir in commands if workdir not in failed],
        Path(arguments.folder, "report.html"),
        len(scored_steps) > 1,
    )
    if failed:
        names = ", ".join(map(str, failed))
        raise SystemExit(
            f"Error: {names} failed, as said above. Once that is mended, the same "
            "command resumes them"
        )


def _parse(
    description: str, variants: Iterable[str], folder: str
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Returns the flags, the names of the chosen variants, and the flags of `train`."""
    # Without abbreviations: --seed must not be taken for --seeds.
    parser = argparse.ArgumentParser(
        description=f"{description} Other flags go to `sagan-tf train`.",
        allow_abbrev=False,
    )
    parser.add_argument("--folder", default=folder, help="folder of the runs")
    parser.add_argument(
        "--seeds", type=_parse_seeds, default="0,1,2", help="seeds of each variant"
    )
    parser.add_argument("--variants", help="some of them, joined by commas")
    parser.add_argument("--num_images", type=int, help="generated images per score")
    parser.add_argument("--no_scores", action="store_true", help="only train")
    parser.add_argument(
        "--list", action="store_true", help="print the commands, and run nothing"
    )
    arguments, others = parser.parse_known_args()
    chosen = arguments.variants.split(",") if arguments.variants else list(variants)
    for name in set(chosen).difference(variants):
        parser.error(f"no variant {name!r}; there are {', '.join(variants)}")
    for flag in others:
        if flag.partition("=")[0] in ("--workdir", "--seed"):
            parser.error(f"each run has its own {flag}: give --folder and --seeds")
    return arguments, chosen, others


def _parse_seeds(text: str) -> list[int]:
    seeds = text.split(",")
    if not all(map(str.isdecimal, seeds)) or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} is no list such as 0,1,2")
    return [int(seed) for seed in seeds]


def _compare(workdirs: Sequence[Path], page: Path, equal_time: bool) -> None:
    """Prints the tables of complete runs, and writes their report."""
    if not workdirs:
        return
    try:
        print_tables(workdirs)
        if equal_time:
            print_tables(workdirs, equal_time=True)
        print(f"Report: {write_report(workdirs, page)}")
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


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
