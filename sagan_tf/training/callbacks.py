"""The callbacks between the steps of a run."""

import math
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from sagan_tf.config import Config
from sagan_tf.layers import SelfAttention, SpectralNormalization
from sagan_tf.rows import read_number
from sagan_tf.sampling import Sampler
from sagan_tf.signals import Interrupted, Signals
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.distribution import Distribution
from sagan_tf.training.logs import Board, StepLog
from sagan_tf.visualization import arrange_classes, make_image_grid, save_image_grid
from sagan_tf.visualization.attend import draw_attention

_ATTENDING = 4  # images whose attention maps TensorBoard gets
_SECONDS = ("training_seconds", "elapsed_seconds")


class StepCallback(keras.callbacks.Callback):
    """Calls `on_step(step, logs)`, with steps counted from 1 over all restarts.

    Between two calls there is one step, or several in one execution.
    """

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step = int(self.model.step.numpy())
        self.on_step(self._step, logs)

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        """Does what the callback is for.

        Args:
            step: Integer, the number of completed steps.
            logs: Dict of floats, the metrics since they were last reset.
        """
        raise NotImplementedError


class TimedCallback(StepCallback):
    """A `StepCallback` that knows how long the steps take.

    Attributes:
        new_steps: Integer, how many steps there were since the call before.
        seconds: Float, how long these took, without what other callbacks did.
    """

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds = time.perf_counter() - self._began
        self.new_steps = int(self.model.step.numpy()) - self._step
        super().on_train_batch_end(batch, logs)


class ProgressBar(TimedCallback):
    """Shows the step, both losses, images per second and the time left.

    Without a terminal it prints one line per minute.
    """

    SECONDS_BETWEEN_LINES = 60.0

    def __init__(self, config: Config):
        super().__init__()
        self._config = config
        self._bar: Any = None
        self._seconds_per_step: float | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        arguments = {
            "initial": self._step,
            "total": self._config.steps,
            "unit": "step",
            "mininterval": 0.5,
        }
        if not sys.stderr.isatty():
            arguments |= {
                "file": _Lines(sys.stderr),
                "mininterval": self.SECONDS_BETWEEN_LINES,
                "maxinterval": math.inf,
                "bar_format": "{desc}Step {n_fmt} of {total_fmt}, {elapsed} elapsed, "
                "{remaining} left{postfix}",
            }
        self._bar = tqdm(**arguments)

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        # Not the bar's own rate, which counts the time of grids and evaluations.
        recent, former = self.seconds / self.new_steps, self._seconds_per_step
        self._seconds_per_step = 0.9 * (former or recent) + 0.1 * recent
        speed = self._config.batch_size / max(self._seconds_per_step, 1e-9)
        self._bar.set_postfix_str(
            f"D {logs['discriminator_loss']:.3f}, G {logs['generator_loss']:.3f}, "
            f"{speed:.0f} images/s",
            refresh=False,
        )
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Ends the bar's line, also when training ended early."""
        if self._bar is not None:
            self._bar.close()


class MetricsLog(TimedCallback):
    """Appends a row to `logs/metrics.csv` every `log_interval` steps, and at the last.

    A row holds the means, since the row before, of both losses and of the
    discriminator's logits, and the gammas of attention and the sigmas of spectral
    normalization at its step.

    `training_seconds` is the time that all steps of the run have taken, and
    `elapsed_seconds` the time of the run with its grids, evaluations and checkpoints.
    Both continue over restarts from the last row; the time between restarts, and of
    steps after that row, is in neither.
    `images_per_second` is that of the steps since the row before.
    """

    def __init__(self, config: Config, board: Board):
        super().__init__()
        self._config = config
        self._board = board

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        columns = ["images_per_second", *_SECONDS]
        columns += [metric.name for metric in self.model.metrics]
        columns += measure_layers(self.model)
        self._log = StepLog(
            self._config.run_dir / "logs" / "metrics.csv",
            columns,
            self._step,
            self._board,
        )
        self._before, elapsed = _read_seconds(self._log.rows)
        self._start = time.perf_counter() - elapsed
        self._restart()

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        self._steps += self.new_steps
        self._since += self.seconds
        if step % self._config.log_interval and step < self._config.steps:
            return
        self._before += self._since
        speed = self._steps * self._config.batch_size / max(self._since, 1e-9)
        seconds = (self._before, time.perf_counter() - self._start)
        times = dict(zip(_SECONDS, seconds, strict=True))
        self._log.write(
            step,
            {
                "images_per_second": speed,
                **times,
                **logs,
                **measure_layers(self.model),
            },
        )
        self.model.reset_metrics()
        self._restart()

    def _restart(self) -> None:
        self._steps, self._since = 0, 0.0


def _read_seconds(rows: Sequence[Mapping[str, str]]) -> list[float]:
    """Returns both times of the last row; NaN if an earlier version wrote it."""
    if not rows:
        return [0.0, 0.0]
    return [read_number(rows[-1], name) for name in _SECONDS]


class SampleGrid(StepCallback):
    """Writes `samples/STEP.png` of the same latents every `sample_interval` steps.

    TensorBoard, if it is installed, gets the grid and the attention maps.
    """

    def __init__(self, config: Config, sampler: Sampler, board: Board):
        super().__init__()
        self._config = config
        self._sampler = sampler
        self._board = board

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if step % self._config.sample_interval == 0:
            write_sample_grid(self._config, self._sampler, step, self._board)
            self._write_attention(step)

    def _write_attention(self, step: int) -> None:
        if not self._board.is_open:
            return
        discriminator, seed = self.model.discriminator, self._config.seed
        sheets = draw_attention(self._sampler, discriminator, _ATTENDING, seed)
        for name, sheet in sheets.items():
            self._board.write_image(step, f"attention/{name}", np.asarray(sheet))


class SaveCheckpoint(StepCallback):
    """Saves a checkpoint every `checkpoint_interval` steps."""

    def __init__(self, config: Config, checkpoints: Checkpoints):
        super().__init__()
        self._config = config
        self._checkpoints = checkpoints

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if step % self._config.checkpoint_interval == 0:
            self._checkpoints.save()


class StopAtSignal(StepCallback):
    """Ends training after the step in which Ctrl-C or SIGTERM came.

    If one worker gets a signal, all end after the same step, and the chief saves it.
    Asking one another, they also wait for a chief that writes grids or evaluates.
    """

    def __init__(self, signals: Signals, distribution: Distribution):
        super().__init__()
        self._signals = signals
        self._distribution = distribution

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if self._distribution.any(self._signals.received):
            self._signals.check()
            raise Interrupted(signal.SIGTERM)


def write_sample_grid(
    config: Config, sampler: Sampler, step: int, board: Board | None = None
) -> Path:
    """Writes the run's grid of fixed latents for a step; returns its path.

    With classes, each row shows one class.
    """
    path = config.run_dir / "samples" / f"{step:06d}.png"
    labels, columns = arrange_classes(config.num_samples, sampler.num_classes)
    count = config.num_samples if labels is None else len(labels)
    images = sampler.generate(count, seed=config.seed, labels=labels)
    save_image_grid(images, path, columns)
    if board is not None:
        board.write_image(step, "samples", make_image_grid(images, columns))
    return path


def measure_layers(model: Any) -> dict[str, float]:
    """Returns the gammas of attention and the sigmas of spectral normalization.

    Their names are those of their layers, such as `generator/attention_16x16/gamma`.
    """
    values = {}
    for network in (model.generator, model.discriminator):
        for layer in network._flatten_layers():
            if isinstance(layer, SelfAttention):
                name, value = "gamma", layer.gamma
            elif isinstance(layer, SpectralNormalization):
                name, value = "sigma", layer.compute_sigma()
            else:
                continue
            # Without the name of the model that owns the networks.
            path = layer.path.partition("/")[-1]
            values[f"{path}/{name}"] = float(keras.ops.convert_to_numpy(value))
    return values


class _Lines:
    """A file for `tqdm` that gets whole lines instead of a line drawn over and over."""

    def __init__(self, file: Any):
        self._file = file

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self._file.write(f"{line}\n")

    def flush(self) -> None:
        self._file.flush()
