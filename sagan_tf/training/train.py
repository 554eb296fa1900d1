"""Runs training: build, restore, load data, fit, export."""

import shlex
from typing import Any

import keras
import tensorflow as tf

from sagan_tf.config import Config, load_config, save_config
from sagan_tf.data import make_dataset, with_classes
from sagan_tf.errors import UserError
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.models.builders import build_sagan
from sagan_tf.models.sagan import SAGAN
from sagan_tf.run import Run
from sagan_tf.training import callbacks, guards
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.distribution import describe_devices, make_strategy
from sagan_tf.training.evaluation import Evaluation
from sagan_tf.training.logs import Board


def train(config: Config) -> Run:
    """Trains a model, or resumes its training, and exports it.

    Args:
        config: `Config`. If its run directory holds a run, training resumes from the
            last checkpoint.

    Returns:
        The trained `Run`.

    Raises:
        UserError: if settings are invalid or differ from those of the run in the run
            directory, or if data are missing. Nothing is written then.
        KeyboardInterrupt: on Ctrl-C, after the step is saved.

    Example:

    ```python
    run = train(dataclasses.replace(load_preset("digits"), workdir="runs/mine"))
    images = run.generate(16)
    ```
    """
    # Without deterministic ops the summation order depends on thread timing, and a
    # resumed run would differ in the last bits. With them Keras ignores XLA, so
    # --jit_compile goes without them.
    if not config.jit_compile:
        tf.config.experimental.enable_op_determinism()
    config = with_classes(config)
    _check_same_settings(config)

    strategy = make_strategy()
    _check_batch_size(config, strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_sagan(config)
    checkpoints = Checkpoints(config.run_dir, model)
    step = checkpoints.restore()
    run = Run(config, model)
    if step is not None and step >= config.steps:
        print(
            f"{config.workdir} is already complete: step {step} of {config.steps}. "
            "To train longer, raise --steps"
        )
    else:
        dataset = make_dataset(config, start_step=step or 0)
        hooks = _make_callbacks(run, checkpoints, dataset)
        save_config(config)
        start = "Training" if step is None else f"Resuming from step {step}"
        print(
            f"{start} in {config.workdir} on {describe_devices()}, {config.precision}"
        )
        _fit(model, dataset, hooks, checkpoints, config.steps - (step or 0))
    return _finish(run)


def _make_callbacks(
    run: Run, checkpoints: Checkpoints, dataset: Any
) -> list[callbacks.StepCallback]:
    """Returns the callbacks in their order: a checkpoint is saved after the rest."""
    config, sampler = run.config, run.sampler
    # One writer: TensorBoard reads only the newest file of a folder to its end.
    board = Board(config.run_dir / "logs")
    batch = next(iter(dataset))
    real_images = batch[0] if config.conditional else batch
    evaluations: list[callbacks.StepCallback] = []
    if config.evaluation_interval:
        evaluations = [Evaluation(config, sampler, checkpoints, board)]
    return [
        guards.NonFiniteGuard(),
        callbacks.ProgressBar(config),
        callbacks.MetricsLog(config, board),
        callbacks.SampleGrid(config, sampler, board),
        guards.CollapseGuard(config, sampler, real_images),
        *evaluations,
        callbacks.SaveCheckpoint(config, checkpoints),
    ]


def _fit(
    model: SAGAN,
    dataset: Any,
    hooks: list[callbacks.StepCallback],
    checkpoints: Checkpoints,
    steps: int,
) -> None:
    (bar,) = (hook for hook in hooks if isinstance(hook, callbacks.ProgressBar))
    try:
        model.fit(
            dataset, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=hooks
        )
    except KeyboardInterrupt:
        checkpoints.save()
        bar.close()
        print(f"Saved step {model.step.numpy()}. Run the same command to resume")
        raise
    finally:
        bar.close()
    checkpoints.save()


def _finish(run: Run) -> Run:
    """Writes the last grid and the SavedModel, and says where everything is."""
    grid = callbacks.write_sample_grid(run.config, run.sampler, run.step)
    path = run.config.run_dir / "export" / "saved_model"
    print(f"Images:     {grid}")
    print(f"SavedModel: {export_saved_model(run.sampler, path)}")
    print(f"Metrics:    {run.config.run_dir / 'logs' / 'metrics.csv'}")
    flag = shlex.quote(f"--workdir={run.config.workdir}")
    print(f"Sample it:  python -m sagan_tf sample {flag}")
    return run


def _check_batch_size(config: Config, devices: int) -> None:
    if config.batch_size % (devices * config.accumulation_steps):
        raise UserError(
            f"--batch_size={config.batch_size} cannot be shared by {devices} GPUs in "
            f"{config.accumulation_steps} micro-batches: give a multiple of "
            f"{devices * config.accumulation_steps}, or choose GPUs with "
            "CUDA_VISIBLE_DEVICES"
        )


def _check_same_settings(config: Config) -> None:
    if not (config.run_dir / "config.json").exists():
        return
    differences = load_config(config.run_dir).differences(config)
    if differences:
        raise UserError(
            f"{config.workdir} holds a run with other settings: "
            f"{'; '.join(differences)}. Leave them as they were, or give another "
            "--workdir"
        )
