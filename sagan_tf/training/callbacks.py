"""What happens between the steps of a run."""

import csv
import importlib.util
import math
import os
import time
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

from sagan_tf.errors import UserError
from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.visualization import arrange_classes, save_image_grid


class StepCallback(keras.callbacks.Callback):
    """Calls `on_step(step, logs)`, with steps counted from 1 over all restarts."""

    def on_train_begin(self, logs=None):
        self._step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        self.on_step(self._step, logs)

    def on_step(self, step, logs):
        """To be overridden.

        Args:
            step: Integer, the number of steps done.
            logs: Dict of floats, the metrics since they were last reset.
        """


class NonFiniteGuard(StepCallback):
    """Ends a run whose losses are no longer numbers, before it is saved so."""

    def on_step(self, step, logs):
        if not all(math.isfinite(value) for value in logs.values()):
            values = ", ".join(f"{name} {value:g}" for name, value in logs.items())
            raise UserError(
                f"The losses are no longer finite at step {step} ({values}). The last "
                "checkpoint is from before; try lower learning rates in a new workdir"
            )


class ProgressBar(StepCallback):
    """Shows step, both losses, images a second and the time left."""

    def __init__(self, config):
        super().__init__()
        self._config = config

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._bar = tqdm(
            initial=self._step, total=self._config.steps, unit="step", mininterval=0.5
        )

    def on_step(self, step, logs):
        rate = self._bar.format_dict["rate"] or 0.0
        self._bar.set_postfix_str(
            f"D {logs['discriminator_loss']:.3f}, G {logs['generator_loss']:.3f}, "
            f"{rate * self._config.batch_size:.0f} images/s",
            refresh=False,
        )
        self._bar.update()

    def close(self):
        """Ends the bar's line, also when training ended early."""
        if hasattr(self, "_bar"):
            self._bar.close()


class MetricsLog(StepCallback):
    """Appends a row to `logs/metrics.csv` each `log_interval` steps.

    A row holds the means since the row before of both losses and of the
    discriminator's logits, and the gammas of attention and the sigmas of spectral
    normalization at that step. The same goes to TensorBoard where it is installed.
    """

    def __init__(self, config):
        super().__init__()
        self._config = config
        self._path = Path(config.workdir) / "logs" / "metrics.csv"

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["step", "images_per_second"]
        columns += [metric.name for metric in self.model.metrics]
        columns += self._measure_layers()
        # Rows from after the checkpoint are about to be written again. The file is
        # replaced as a whole: a run killed here still has its log.
        kept = self._rows_until(self._step)
        partial = self._path.with_suffix(".partial")
        self._file = open(partial, "w", newline="")
        self._writer = csv.DictWriter(self._file, columns, restval="")
        self._writer.writeheader()
        self._writer.writerows(kept)
        self._file.flush()
        os.replace(partial, self._path)
        self._board = None
        if importlib.util.find_spec("tensorboard"):
            self._board = tf.summary.create_file_writer(
                str(self._path.parent / "tensorboard")
            )
        self._restart()

    def on_step(self, step, logs):
        if step % self._config.log_interval:
            return
        seconds = time.perf_counter() - self._since
        images = (step - self._last_step) * self._config.batch_size
        row = {
            "images_per_second": images / seconds,
            **logs,
            **self._measure_layers(),
        }
        self._writer.writerow(
            {"step": step, **{name: f"{value:.6g}" for name, value in row.items()}}
        )
        self._file.flush()
        if self._board is not None:
            with self._board.as_default(step=step):
                for name, value in row.items():
                    tf.summary.scalar(name, value)
        self.model.reset_metrics()
        self._restart()

    def on_train_end(self, logs=None):
        self._file.close()

    def _restart(self):
        self._since, self._last_step = time.perf_counter(), self._step

    def _measure_layers(self):
        values = {}
        for network in (self.model.generator, self.model.discriminator):
            for layer in network.layers:
                name = f"{network.name}/{layer.name}"
                if isinstance(layer, SelfAttention):
                    values[f"{name}/gamma"] = float(layer.gamma.numpy())
                elif isinstance(layer, SpectralNormalization):
                    values[f"{name}/sigma"] = float(layer.compute_sigma())
        return values

    def _rows_until(self, step):
        if not self._path.exists():
            return []
        with open(self._path, newline="") as file:
            # A killed run can leave half a row at the end.
            return [
                row
                for row in csv.DictReader(file)
                if row["step"].isdigit() and int(row["step"]) <= step
            ]


class SampleGrid(StepCallback):
    """Writes `samples/STEP.png`, of the same latents, each `sample_interval` steps."""

    def __init__(self, config):
        super().__init__()
        self._config = config

    def on_step(self, step, logs):
        if step % self._config.sample_interval == 0:
            write_sample_grid(self._config, self.model, step)


class SaveCheckpoint(StepCallback):
    """Saves a checkpoint each `checkpoint_interval` steps."""

    def __init__(self, config, checkpoints):
        super().__init__()
        self._config = config
        self._checkpoints = checkpoints

    def on_step(self, step, logs):
        if step % self._config.checkpoint_interval == 0:
            self._checkpoints.save()


def write_sample_grid(config, model, step):
    """Writes the run's grid of fixed latents for a step; returns its path.

    Where there are classes, each has a row of its own.
    """
    path = Path(config.workdir) / "samples" / f"{step:06d}.png"
    labels, columns = arrange_classes(config.num_samples, model.num_classes)
    count = config.num_samples if labels is None else len(labels)
    images = model.generate(count, seed=config.seed, labels=labels)
    save_image_grid(images, path, columns)
    return path
