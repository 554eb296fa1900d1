"""What happens between the steps of a run."""

import csv
import importlib.util
import itertools
import json
import math
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sagan_tf import evaluation
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
        columns = ["step", "images_per_second"]
        columns += [metric.name for metric in self.model.metrics]
        columns += measure_layers(self.model)
        self._file, self._writer = _reopen_log(self._path, columns, self._step)
        self._board = _open_board(self._path.parent)
        self._restart()

    def on_step(self, step, logs):
        if step % self._config.log_interval:
            return
        seconds = time.perf_counter() - self._since
        images = (step - self._last_step) * self._config.batch_size
        row = {
            "images_per_second": images / seconds,
            **logs,
            **measure_layers(self.model),
        }
        self._writer.writerow(
            {"step": step, **{name: f"{value:.6g}" for name, value in row.items()}}
        )
        self._file.flush()
        _write_to_board(self._board, step, row)
        self.model.reset_metrics()
        self._restart()

    def on_train_end(self, logs=None):
        self._file.close()

    def _restart(self):
        self._since, self._last_step = time.perf_counter(), self._step


class Evaluation(StepCallback):
    """Computes a figure each `evaluation_interval` steps; keeps the best checkpoint.

    The first is of the step that training begins at.

    The figure is of `evaluation_images` images of the averaged generator, lower for
    better ones. It goes to `logs/evaluation.csv`, and to TensorBoard where it is
    installed.

    Args:
        config: `Config`.
        checkpoints: `Checkpoints`.

    Raises:
        UserError: if the extractor or the real images are not to be had.
    """

    def __init__(self, config, checkpoints):
        super().__init__()
        self._config = config
        self._checkpoints = checkpoints
        self._path = Path(config.workdir) / "logs" / "evaluation.csv"
        self._extractor = evaluation.load_extractor(config.evaluation_extractor, config)
        self._real = evaluation.find_images(
            config.split, config, max(config.evaluation_images, 10_000)
        )

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        columns = ["step", "metric", "figure", "protocol"]
        self._file, self._writer = _reopen_log(self._path, columns, self._step)
        with open(self._path, newline="") as file:
            self._rows = list(csv.DictReader(file))
        self._board = _open_board(self._path.parent)
        # At once, and not hours later, it shows if the figure cannot be computed.
        if not any(self._has_this_figure(row) for row in self._rows):
            self._evaluate(self._step)

    def _has_this_figure(self, row):
        protocol = json.loads(row["protocol"])
        return (
            row["step"] == str(self._step)
            and row["metric"] == self._config.evaluation_metric
            and protocol["extractor_sha256"] == self._extractor.digest
            and protocol["num_fake"] == self._config.evaluation_images
        )

    def on_step(self, step, logs):
        if step % self._config.evaluation_interval == 0:
            self._evaluate(step)

    def _evaluate(self, step):
        name = self._config.evaluation_metric
        fake = evaluation.generated_images(
            self.model, step, self._config.evaluation_images, self._config.seed
        )
        figures, protocol = evaluation.evaluate(
            self._extractor, self._real, fake, [name], show_progress=False
        )
        figure = figures[name]
        row = {
            "step": step,
            "metric": name,
            "figure": f"{figure:.6g}",
            "protocol": json.dumps(
                # All but what the step says.
                {k: v for k, v in protocol.items() if not k.startswith("fake")}
            ),
        }
        # Figures of other protocols are no measure of this one; the first after them
        # has taken the best one's place.
        before = itertools.takewhile(
            lambda other: all(other[k] == row[k] for k in ("metric", "protocol")),
            reversed(self._rows),
        )
        least = min((float(other["figure"]) for other in before), default=math.inf)
        best = figure < least
        # Before its row, which says that it is there.
        if best:
            self._checkpoints.save_best()
        self._rows.append(row)
        self._writer.writerow(row)
        self._file.flush()
        _write_to_board(self._board, step, figures)
        tqdm.write(f"Step {step}: {name} {figure:.4g}{', the best' if best else ''}")

    def on_train_end(self, logs=None):
        self._file.close()


class SampleGrid(StepCallback):
    """Writes `samples/STEP.png`, of the same latents, each `sample_interval` steps."""

    def __init__(self, config):
        super().__init__()
        self._config = config

    def on_step(self, step, logs):
        if step % self._config.sample_interval == 0:
            write_sample_grid(self._config, self.model, step)


class CollapseGuard(StepCallback):
    """Warns, once each, in a line, of what usually ends in a collapse.

    It looks each `sample_interval` steps at

    - how varied samples are: the deviation of their pixels from image to image, from
      step 1,000 on, should not fall below a quarter of the real images';
    - the discriminator's margin, the mean logit of real images less that of generated
      ones, under losses that bound it;
    - the gammas of attention and the sigmas of spectral normalization.

    Args:
        config: `Config`.
        real_images: Some real images in `[-1, 1]`, to compare with.
    """

    LEAST_DIVERSITY, FIRST_STEP = 0.25, 1000
    LARGEST_MARGIN = 15.0
    LARGEST_GAMMA = 10.0
    SIGMAS = (1e-2, 1e2)

    def __init__(self, config, real_images):
        super().__init__()
        self._config = config
        self._real_diversity = _measure_diversity(np.asarray(real_images) * 127.5)
        self._warned = set()

    def on_step(self, step, logs):
        if step % self._config.sample_interval:
            return
        if step >= self.FIRST_STEP:
            samples = self.model.generate(64, seed=self._config.seed)
            ratio = _measure_diversity(samples) / self._real_diversity
            if ratio < self.LEAST_DIVERSITY:
                self._warn(
                    "diversity",
                    f"samples vary only {ratio:.0%} as much as real images: the "
                    "generator may have collapsed",
                )
        margin = logs["real_logits"] - logs["fake_logits"]
        if self._config.loss != "wgan" and margin > self.LARGEST_MARGIN:
            self._warn(
                "margin",
                f"the discriminator's logits are {margin:.3g} apart: it may be too "
                "strong for the generator to learn from",
            )
        for name, value in measure_layers(self.model).items():
            if name.endswith("gamma") and abs(value) > self.LARGEST_GAMMA:
                self._warn(name, f"{name} is {value:.3g}: attention drowns its input")
            low, high = self.SIGMAS
            if name.endswith("sigma") and not low <= value <= high:
                self._warn(
                    name, f"{name} is {value:.3g}, and usual are {low:g} to {high:g}"
                )

    def _warn(self, kind, text):
        if kind not in self._warned:
            self._warned.add(kind)
            tqdm.write(f"Warning, step {self._step}: {text}", file=sys.stderr)


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


def measure_layers(model):
    """The gammas of attention and the sigmas of spectral normalization, by name."""
    values = {}
    for network in (model.generator, model.discriminator):
        for layer in network._flatten_layers():
            # Without the model's own name: generator/attention_16x16.
            name = layer.path.partition("/")[-1]
            if isinstance(layer, SelfAttention):
                values[f"{name}/gamma"] = float(layer.gamma.numpy())
            elif isinstance(layer, SpectralNormalization):
                values[f"{name}/sigma"] = float(layer.compute_sigma())
    return values


def _measure_diversity(images):
    return images.astype(np.float64).std(axis=0).mean()


def _open_board(folder):
    """A writer for TensorBoard, or None where that is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    return tf.summary.create_file_writer(str(folder / "tensorboard"))


def _write_to_board(board, step, values):
    if board is None:
        return
    with board.as_default(step=step):
        for name, value in values.items():
            tf.summary.scalar(name, value)


def _reopen_log(path, columns, step):
    """Opens a CSV file to go on from a step; returns the file and its writer.

    Rows from after that step, which the checkpoint knows nothing of, are left out:
    they are about to be written again. The file is replaced as a whole, so that a run
    killed here still has its log.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    if path.exists():
        with open(path, newline="") as file:
            # A killed run can leave half a row at the end.
            kept = [
                row
                for row in csv.DictReader(file)
                if row["step"].isdigit() and int(row["step"]) <= step
            ]
    partial = path.with_suffix(".partial")
    file = open(partial, "w", newline="")
    writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(kept)
    file.flush()
    os.replace(partial, path)
    return file, writer
