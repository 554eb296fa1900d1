"""Runs training: build, restore, load data, fit, export."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.config import (
    Config,
    check_decay,
    check_trusted,
    load_config,
    save_config,
)
from sagan_tf.data import load_data, make_dataset, open_source, with_classes
from sagan_tf.data.pipeline import data_errors
from sagan_tf.data.prepared import LoadedData
from sagan_tf.data.record import check_record, make_record
from sagan_tf.errors import UserError
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.files import delete_partial, read_text, unused_path, write_text
from sagan_tf.flags import describe_flags, format_setting
from sagan_tf.model_files import holds_networks
from sagan_tf.models.builders import build_sagan
from sagan_tf.report.history import find_origin, read_starts
from sagan_tf.rows import parse_rows
from sagan_tf.run import Run
from sagan_tf.signals import Signals
from sagan_tf.training import callbacks, guards
from sagan_tf.training.checkpoints import Checkpoints, find_checkpoints
from sagan_tf.training.distribution import (
    Distribution,
    describe_devices,
    make_distribution,
)
from sagan_tf.training.evaluation import Evaluation
from sagan_tf.training.initialization import initialize
from sagan_tf.training.lock import lock_run
from sagan_tf.training.logs import Board, log_start
from sagan_tf.training.loop import run_steps
from sagan_tf.training.summary import print_start

_FEW_IMAGES = 10_000


def train(
    config: Config,
    init_from: str | None = None,
    init_partially: bool = False,
    accept_changed_data: bool = False,
) -> Run:
    """Trains a model, or resumes its training, and exports it.

    Args:
        config: `Config`. If its run directory holds a run, training resumes from the
            last checkpoint.
        init_from: `WORKDIR`, `WORKDIR@best` or `WORKDIR@STEP`, a checkpoint whose
            networks a new run starts from. A run that is resumed ignores it.
        init_partially: Boolean, whether variables that do not fit that checkpoint may
            start from their initial values.
        accept_changed_data: Boolean, whether a run may be resumed with other images
            than it was trained on.

    Returns:
        The trained `Run`.

    Raises:
        UserError: if settings are invalid or differ from those of the run in the run
            directory, or if data are missing or have changed; nothing is written then.
            If another process trains this run. If a file cannot be written; the run
            can be resumed then.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after the step is saved.

    Example:

    ```python
    run = train(dataclasses.replace(load_preset("digits"), workdir="runs/mine"))
    images = run.generate(16)
    ```
    """
    check_decay(config)
    # Without deterministic ops the summation order depends on thread timing, and a
    # resumed run would differ in the last bits. With them Keras ignores XLA, so
    # --jit_compile goes without them.
    if config.deterministic and not config.jit_compile:
        tf.config.experimental.enable_op_determinism()
    if config.evaluation_interval:
        check_trusted(config.evaluation_extractor)
    # First of all: a worker can only join its cluster before it computes anything.
    distribution = make_distribution(config.strategy)
    _check_devices(config, distribution)
    with distribution.lost_worker_errors(), contextlib.ExitStack() as stack:
        with distribution.shared_errors():
            config = with_classes(config)
            if distribution.is_chief:
                _check_resumable(config)
                stack.enter_context(lock_run(config.run_dir))
                _check_same_settings(config, init_from)
        _check_same_flags(config, distribution)
        keras.utils.set_random_seed(config.seed)
        with distribution.strategy.scope():
            run = Run(config, build_sagan(config))
        checkpoints = Checkpoints(
            config.run_dir,
            run.model,
            config.keep_checkpoints,
            config.keep_checkpoints_every,
        )
        step = None
        with distribution.shared_errors():
            if distribution.is_chief:
                step = _restore(run, checkpoints)
                if step is None and init_from:
                    initialize(run.model, init_from, init_partially)
        distribution.copy_from_chief(checkpoints.variables)
        if run.step >= config.steps:
            if distribution.is_chief:
                _say_complete(config, run.step)
                _evaluate_last(run, checkpoints)
        else:
            with distribution.shared_errors():
                data = load_data(config)
                record = make_record(data)
            distribution.check_equal(
                f"{data.summary()} (SHA-256 {record['sha256'][:16]})", "data"
            )
            dataset = distribution.distribute(
                functools.partial(make_dataset, config, run.step, data)
            )
            with distribution.shared_errors():
                if distribution.is_chief:
                    # Before its first step a run was trained on no data.
                    accept = accept_changed_data or not step
                    check_record(config.run_dir, record, accept)
                    if step is None and init_from:
                        # Before the settings: a run that is resumed needs this
                        # checkpoint.
                        checkpoints.save()
                    save_config(config)
                    _report_data(config, data)
                    print_start(run.model, config, distribution, data)
                    log_start(
                        config.run_dir / "logs",
                        run.step,
                        devices=describe_devices(distribution.name),
                        replicas=distribution.num_replicas,
                        # A run that is resumed has its own networks.
                        init_from=None if step else init_from,
                    )
                    _say_start(config, step, init_from)
                else:
                    print(
                        f"Training to step {config.steps:,}. Worker 0 prints the "
                        "progress"
                    )
            with data_errors():
                _fit(run, distribution, dataset, data, checkpoints)
        distribution.check_equal(_digest_weights(run.model), "weights after training")
        if distribution.is_chief:
            _finish(run)
        elif run.step >= config.steps:
            print(f"Step {run.step:,} is reached")
        distribution.wait()  # a cluster may stop all workers when one has ended
        return run


def _check_same_flags(config: Config, distribution: Distribution) -> None:
    """Checks that all workers have the same settings, but for paths."""
    own = dataclasses.replace(config, workdir="", data_dir=None)
    chief, *others = map(json.loads, distribution.gather(own.to_json()))
    for worker, other in enumerate(others, start=1):
        different = [
            f"{name} is {chief[name]!r} on worker 0 and {other[name]!r} on worker "
            f"{worker}"
            for name in chief
            if chief[name] != other[name]
        ]
        if different:
            raise UserError(
                f"The workers have different settings: {'; '.join(different)}. Give "
                "all of them the same flags. One that does not see the run directory "
                "needs all flags of the run"
            )


def _digest_weights(model: Any) -> str:
    hashed = hashlib.sha256()
    for network in (model.generator, model.discriminator, model.ema_generator):
        for variable in network.variables:
            hashed.update(np.ascontiguousarray(variable.numpy()).data)
    return f"SHA-256 {hashed.hexdigest()[:16]}"


def _restore(run: Run, checkpoints: Checkpoints) -> int | None:
    """Restores the last checkpoint, if there is one, and returns its step."""
    step = checkpoints.restore()
    if step is None:
        _check_not_lost(run.config)
    checkpoints.delete_leftovers()
    for folder in ("", "samples", "logs", "evaluation", "attention", "export"):
        delete_partial(run.config.run_dir / folder)
    return step


def _say_start(config: Config, step: int | None, init_from: str | None) -> None:
    start = "Training" if step is None else f"Resuming from step {step:,}"
    if step is None and init_from:
        start += f" from the networks of {init_from}"
    print(f"{start} to step {config.steps:,} in {config.workdir}")


def _say_complete(config: Config, step: int) -> None:
    print(
        f"{config.workdir} is already complete: it is at step {step:,}, and --steps is "
        f"{config.steps:,}. To train longer, raise --steps"
    )


def _evaluate_last(run: Run, checkpoints: Checkpoints) -> None:
    """Evaluates the last step, if an interruption has prevented it."""
    config = run.config
    interval, log = config.evaluation_interval, config.run_dir / "logs"
    if not interval or run.step != config.steps or run.step % interval:
        return
    with contextlib.suppress(UserError, ValueError):  # a log that is damaged
        rows, _ = parse_rows(read_text(log / "evaluation.csv"))
        if any(row["step"] == str(run.step) for row in rows):
            return
    with Signals() as signals:
        last = Evaluation(config, run.sampler, checkpoints, Board(log), signals)
        last.set_model(run.model)
        last.on_train_begin()


def needs_augmentation(config: Config, num_images: int) -> bool:
    """Returns whether a run has few images, and no augmentation against that."""
    is_few = num_images < _FEW_IMAGES and config.dataset != "digits"
    return is_few and not config.augmentation


def _report_data(config: Config, data: LoadedData) -> None:
    """Says how many images there are, which were skipped, and what helps with few."""
    if data.skipped:
        lines = "".join(f"{line}\n" for line in data.skipped)
        write_text(config.run_dir / "logs" / "skipped_files.txt", lines)
    if needs_augmentation(config, len(data.images)):
        print(
            f"{len(data.images):,} images are few: the discriminator may memorize "
            "them. A new run may be better with --augmentation=color,translation,cutout"
            f"{' --horizontal_flip (not for text)' * (not config.horizontal_flip)}"
        )


def _make_callbacks(
    run: Run, data: LoadedData, checkpoints: Checkpoints, signals: Signals
) -> list[callbacks.StepCallback]:
    """Returns the chief's callbacks in order: a checkpoint is saved after the rest."""
    config, sampler = run.config, run.sampler
    # One writer: TensorBoard reads only the newest file of a folder to its end.
    board = Board(config.run_dir / "logs")
    batch = next(iter(make_dataset(config, run.step, data)))
    real_images = batch[0] if config.conditional else batch
    evaluations: list[callbacks.StepCallback] = []
    if config.evaluation_interval:
        evaluations = [Evaluation(config, sampler, checkpoints, board, signals)]
    return [
        callbacks.ProgressBar(config),
        callbacks.MetricsLog(config, board),
        callbacks.SampleGrid(config, sampler, board),
        guards.CollapseGuard(config, sampler, real_images),
        *evaluations,
        callbacks.SaveCheckpoint(config, checkpoints),
    ]


def _fit(
    run: Run,
    distribution: Distribution,
    dataset: Any,
    data: LoadedData,
    checkpoints: Checkpoints,
) -> None:
    config, model = run.config, run.model
    own_hooks: list[callbacks.StepCallback] = []
    intervals = [config.log_interval, config.sample_interval]
    intervals += [config.checkpoint_interval, config.evaluation_interval or 0]
    with Signals() as signals, contextlib.ExitStack() as stack:
        if distribution.is_chief:
            own_hooks = _make_callbacks(run, data, checkpoints, signals)
            for hook in own_hooks:
                if isinstance(hook, callbacks.ProgressBar):
                    stack.callback(hook.close)
        try:
            with signals.deferred():
                run_steps(
                    model,
                    distribution.strategy,
                    dataset,
                    config.steps,
                    [
                        guards.NonFiniteGuard(),
                        *own_hooks,
                        guards.SkippedStepsGuard(
                            config, checkpoints if distribution.is_chief else None
                        ),
                        callbacks.StopAtSignal(signals, distribution),
                    ],
                    config.steps_per_execution,
                    [interval for interval in intervals if interval],
                )
                if distribution.is_chief:
                    checkpoints.save()
                signals.check()
        except KeyboardInterrupt:
            if distribution.is_chief:
                checkpoints.save()
                stack.close()
                print(f"Saved step {run.step}. Run the same command to resume")
            raise


def _finish(run: Run) -> None:
    """Writes the last grid and the SavedModel, and says where everything is."""
    grid = callbacks.write_sample_grid(run.config, run.sampler, run.step)
    path = run.config.run_dir / "export" / "saved_model"
    print(f"Images:     {grid}")
    # Without the comparison of `sagan-tf export`, which starts TensorFlow once more.
    print(f"SavedModel: {export_saved_model(run.sampler, path, check=False)}")
    print(f"Metrics:    {run.config.run_dir / 'logs' / 'metrics.csv'}")
    flag = shlex.quote(f"--workdir={run.config.workdir}")
    print(f"Sample it:  python -m sagan_tf sample {flag}")


def _check_devices(config: Config, distribution: Distribution) -> None:
    if config.jit_compile and distribution.num_replicas > 1:
        raise UserError(
            "--jit_compile works on one device. Here are "
            f"{distribution.num_replicas}: leave it out, or train on one"
        )
    parts = distribution.num_replicas * config.accumulation_steps
    if config.batch_size % parts:
        micro_batches = f", each in {config.accumulation_steps} micro-batches"
        nearest = max(parts, config.batch_size // parts * parts)
        raise UserError(
            f"--batch_size={config.batch_size} cannot be shared by "
            f"{distribution.num_replicas} devices"
            f"{micro_batches * (config.accumulation_steps > 1)}: give a multiple of "
            f"{parts}, such as --batch_size={nearest}"
        )


def _check_resumable(config: Config) -> None:
    if holds_networks(config.run_dir):
        flags = [f"--init_from={config.workdir}", "--workdir=runs/continued"]
        raise UserError(
            f"{config.workdir} holds networks without what resuming needs. Start a new "
            f"run from them: python -m sagan_tf train {shlex.join(flags)}"
        )
    is_new = not (config.run_dir / "config.json").exists()
    images = config.data_dir if config.dataset == "folder" and is_new else None
    if images and config.run_dir.resolve() == Path(images).resolve():
        raise UserError(
            f"--workdir and --data_dir are both {config.workdir}, and the run's grids "
            "would be among the images: give another --workdir, such as runs/mine"
        )


def _check_same_settings(config: Config, init_from: str | None) -> None:
    if not (config.run_dir / "config.json").exists():
        # A checkpoint of step 0 is that of a start from another run, killed just then.
        if [p.name for p in find_checkpoints(config.run_dir)] not in ([], ["step-0"]):
            raise UserError(
                f"{config.workdir} holds checkpoints but no config.json, so their "
                "settings are unknown. Restore the file, or give another --workdir"
            )
        return
    saved = load_config(config.run_dir)
    differences = saved.differences(config)
    if not differences:
        return
    if config.dataset == "folder":
        open_source(config).pictures()  # no command works with a folder that is missing
    shown = [f"{name}: {old} -> {new}" for name, (old, new) in differences.items()]
    message = (
        f"{config.workdir} holds a run with other settings: {'; '.join(shown)}. To "
        "resume it as it is: "
        f"python -m sagan_tf train {shlex.quote(f'--workdir={config.run_dir}')}"
    )
    origin = None
    if _networks_fit(saved, config):
        origin = init_from or find_origin(read_starts(saved.run_dir))
    unused = shlex.quote(f"--workdir={unused_path(config.run_dir)}")
    raise UserError(
        f"{message}. To train a new run with these settings: python -m sagan_tf train "
        f"{describe_flags(config, config.data_dir, origin)} {unused}. To start from "
        f"the networks of {saved.run_dir}: python -m sagan_tf train "
        f"{shlex.join(_flags_of_new_run(saved, config))}"
    )


def _check_not_lost(config: Config) -> None:
    """Refuses to begin anew in a run that must have had checkpoints."""
    log = config.run_dir / "logs" / "metrics.csv"
    if not log.exists() or not (config.run_dir / "config.json").exists():
        return
    try:
        rows, _ = parse_rows(read_text(log))
    except (UserError, ValueError):
        return
    last = max((int(row["step"]) for row in rows), default=0)
    if last > load_config(config.run_dir).checkpoint_interval:
        raise UserError(
            f"{config.workdir} has lost its checkpoints: its log reaches step {last}. "
            "Restore them from a copy, or give another --workdir"
        )


def _flags_of_new_run(former: Config, config: Config) -> list[str]:
    """Returns the flags that start a run with `config` from another's networks."""
    changed = [
        field.name for field in _find_changed(former, config) if field.name != "workdir"
    ]
    return [
        f"--init_from={former.run_dir}",
        f"--workdir={unused_path(config.run_dir)}",
        *([] if _networks_fit(former, config) else ["--init_partially"]),
        *(format_setting(name, getattr(config, name)) for name in changed),
    ]


def _networks_fit(former: Config, config: Config) -> bool:
    """Returns whether all variables of a run's networks fit other settings."""
    return not any(
        field.metadata["group"] == "Networks"
        or field.name in ("image_size", "channels")
        for field in _find_changed(former, config)
    )


def _find_changed(former: Config, config: Config) -> list[dataclasses.Field]:
    return [
        field
        for field in dataclasses.fields(config)
        if getattr(former, field.name) != getattr(config, field.name)
    ]
