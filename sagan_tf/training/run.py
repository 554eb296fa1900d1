"""The only place that knows the order of things in a training run."""

import shlex
from pathlib import Path

import keras
import tensorflow as tf

from sagan_tf.config import load_config, save_config
from sagan_tf.data import make_dataset, with_classes
from sagan_tf.errors import UserError
from sagan_tf.export.saved_model import export_saved_model
from sagan_tf.models.builders import build_sagan
from sagan_tf.training import callbacks
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.distribution import describe_devices, make_strategy


def run(config):
    """Trains a model, or goes on training it, and exports it.

    Args:
        config: `Config` with a `workdir`. Where the workdir holds a run, training
            goes on from its last checkpoint.

    Raises:
        UserError: if the settings cannot be had, differ from those of the run in
            the workdir, or the data are not there. Nothing is written then.
        KeyboardInterrupt: on Ctrl-C, once the step is saved.
    """
    # Without it, sums are made in whatever order the threads come, and a run that
    # goes on would not end with the very weights of one that was never stopped.
    # Keras takes no XLA then: who asks for XLA gets its sums instead.
    if not config.jit_compile:
        tf.config.experimental.enable_op_determinism()
    workdir = Path(config.workdir)
    config = with_classes(config)
    _check_same_settings(config, workdir)

    strategy = make_strategy()
    devices = strategy.num_replicas_in_sync
    if config.batch_size % (devices * config.accumulation_steps):
        raise UserError(
            f"--batch_size={config.batch_size} cannot be shared by {devices} GPUs in "
            f"{config.accumulation_steps} parts: give a multiple, or choose GPUs by "
            "CUDA_VISIBLE_DEVICES"
        )
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_sagan(config)
    checkpoints = Checkpoints(workdir, model)
    restored = checkpoints.restore()
    step = restored or 0
    if step >= config.steps:
        print(
            f"{workdir} is at step {step} already, and --steps={config.steps} asks for "
            "no more."
        )
    else:
        dataset = make_dataset(config, start_step=step)
        evaluations = []
        if config.evaluation_interval:
            evaluations = [callbacks.Evaluation(config, checkpoints)]
        save_config(config)
        beginning = "Training" if restored is None else f"Going on from step {step}"
        print(f"{beginning} in {workdir} on {describe_devices()}, {config.precision}")
        _fit(model, dataset, config, checkpoints, evaluations, config.steps - step)

    grid = callbacks.write_sample_grid(config, model, int(model.step.numpy()))
    saved_model = export_saved_model(model, workdir / "export" / "saved_model")
    print(f"Images:     {grid}")
    print(f"SavedModel: {saved_model}")
    print(f"Metrics:    {workdir / 'logs' / 'metrics.csv'}")
    more = shlex.join(["python", "-m", "sagan_tf", "sample", f"--workdir={workdir}"])
    print(f"More:       {more}")


def _fit(model, dataset, config, checkpoints, evaluations, steps):
    bar = callbacks.ProgressBar(config)
    real_images = next(iter(dataset))
    if config.conditional:
        real_images, _ = real_images
    try:
        model.fit(
            dataset,
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,
            # In this order: what a checkpoint stands for is written before it.
            callbacks=[
                callbacks.NonFiniteGuard(),
                bar,
                callbacks.MetricsLog(config),
                callbacks.SampleGrid(config),
                callbacks.CollapseGuard(config, real_images),
                *evaluations,
                callbacks.SaveCheckpoint(config, checkpoints),
            ],
        )
    except KeyboardInterrupt:
        checkpoints.save()
        bar.close()
        print(
            f"Step {model.step.numpy()} is saved: the same command goes on from there"
        )
        raise
    finally:
        bar.close()
    checkpoints.save()


def _check_same_settings(config, workdir):
    if not (workdir / "config.json").exists():
        return
    differences = load_config(workdir).differences(config)
    if differences:
        raise UserError(
            f"{workdir} holds a run with other settings: {'; '.join(differences)}. "
            "Leave them as they were, or give another --workdir"
        )
