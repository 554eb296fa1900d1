"""A trained run: everything that can be made from a run directory."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sagan_tf.config import PRETRAINED_OUTPUTS, Config, load_config
from sagan_tf.errors import UserError
from sagan_tf.files import unused_path
from sagan_tf.model_files import FILE, find_pretrained, load_networks
from sagan_tf.models.builders import build_sagan
from sagan_tf.models.sagan import SAGAN
from sagan_tf.records import SCORES, read_records, records_path, save_record
from sagan_tf.sampling import Sampler
from sagan_tf.text import format_names
from sagan_tf.visualization.attend import write_attention
from sagan_tf.visualization.neighbors import write_neighbors
from sagan_tf.visualization.samples import write_interpolation, write_samples

Labels = Sequence[int | str] | np.ndarray | int | str | None


class Evaluation(NamedTuple):
    """The result of `Run.evaluate`.

    Attributes:
        scores: Dict of floats by name.
        protocol: Dict of everything that the scores depend on.
        path: The JSON file that holds all of this.
        yardsticks: Dict of the scores of `held_out` real images and of `noise`; see
            `sagan_tf.evaluation.measure_yardsticks`.
    """

    scores: dict[str, float]
    protocol: dict[str, Any]
    path: Path
    yardsticks: dict[str, Any]


class Run:
    """A trained run, loaded from its directory by `load_run`.

    Wherever labels are taken, classes can be given by number or by name.

    Attributes:
        config: The run's `Config`.
        step: Integer, the step that the model is at.
        model: The `SAGAN`.
        generator: Its EMA generator, the one to sample from.
        discriminator: Its discriminator.
        sampler: `Sampler` of the EMA generator.
        networks_dir: The folder of exported networks, whose raw generator is not there;
            None if there is a run.

    Example:

    ```python
    run = load_run("runs/mnist_conditional")
    images = run.generate(16, labels=["7"])  # uint8 [16, 32, 32, 1]
    run.attend("attention")
    ```
    """

    def __init__(self, config: Config, model: SAGAN, networks_dir: Path | None = None):
        self.config = config
        self.networks_dir = networks_dir
        self.model = model
        self.generator = model.ema_generator
        self.discriminator = model.discriminator
        self.sampler = Sampler(self.generator, config.latent_distribution)

    @property
    def name(self) -> str:
        """The name of the run directory."""
        return self.config.run_dir.resolve().name

    @property
    def step(self) -> int:
        """The step that the model is at."""
        return int(self.model.step.numpy())

    def generate(
        self,
        num_images: int,
        seed: int = 0,
        truncation: float = 1.0,
        labels: Labels = None,
    ) -> np.ndarray:
        """Generates images, uint8 `[num_images, S, S, C]`; see `Sampler.generate`."""
        return self.sampler.generate(
            num_images, seed, truncation, self.class_numbers(labels)
        )

    sample = write_samples
    interpolate = write_interpolation
    attend = write_attention
    neighbors = write_neighbors

    def evaluate(
        self,
        metrics: Sequence[str] = ("frechet", "kernel", "precision_recall"),
        extractor: str = "auto",
        num_images: int = 10_000,
        num_real: int = 10_000,
        reference: str | None = None,
        samples: str | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        force: bool = False,
    ) -> Evaluation:
        """Computes metrics and saves them with their protocol to `evaluation/`.

        The same metrics of held-out real images and of noise are computed too, as
        yardsticks.

        Args:
            metrics: Names out of `sagan_tf.evaluation.METRICS`, or `fid`, `kid`, `is`
                and `intra_fid` with Inception.
            extractor: Feature extractor; see `sagan_tf.evaluation.load_extractor`.
            num_images: Integer, the number of generated images.
            num_real: Integer, the number of real images, drawn at random from more.
            reference: The real images: a split of the run's data, an `.npz` file or a
                folder. The default is the training split.
            samples: Images to evaluate instead of generated ones, likewise.
            seed: Integer, the random seed of the latents.
            truncation: Float; see `Sampler.latents`.
            ema: Boolean, whether to evaluate the EMA generator or the raw one.
            force: Boolean, whether to use an extractor that cannot judge the data.

        Raises:
            UserError: if a metric or the extractor does not exist, if no metric can be
                computed, if images are missing, or if the extractor cannot judge them.
        """
        from sagan_tf import evaluation

        if not ema and self.networks_dir:
            raise UserError(
                f"{self.config.workdir} holds no generator but the EMA generator: "
                "leave out --noema"
            )
        names = evaluation.check_metrics(metrics)
        real, held_out = evaluation.find_real_images(
            reference or self.config.split, self.config, num_real, num_images
        )
        run_dir = self.config.run_dir
        if samples:
            fake = evaluation.find_images(samples, self.config, num_images)
            path = run_dir / "evaluation" / f"{Path(samples).stem}.json"
        else:
            raw = Sampler(self.model.generator, self.config.latent_distribution)
            fake = evaluation.generated_images(
                self.sampler if ema else raw,
                "EMA generator" if ema else "raw generator",
                self.step,
                num_images,
                seed,
                truncation,
            )
            path = records_path(run_dir, self.step)
        # Only now: it may download Inception.
        extractor = evaluation.choose_extractor(extractor)
        evaluation.check_published(metrics, extractor)
        # What is missing is said before the classifier is trained.
        possible = evaluation.possible_metrics(
            names,
            evaluation.outline(real, "--num_real"),
            evaluation.outline(fake, "--num_images"),
            evaluation.has_class_probabilities(extractor, self.config),
        )
        loaded = evaluation.load_extractor(extractor, self.config)
        evaluator = evaluation.Evaluator(loaded, real, possible, seed)
        yardsticks = evaluation.measure_yardsticks(
            evaluator, held_out, self.config, num_images
        )
        evaluation.check_extractor(loaded, yardsticks, force)
        scores, protocol = evaluator.score(fake)
        save_record(path, scores, protocol, yardsticks)
        return Evaluation(scores, protocol, path, yardsticks)

    def read_scores(self) -> list[dict[str, Any]]:
        """Returns the scores of this step, also those that came with the networks.

        Returns:
            List of records with `scores`, `protocol` and `yardsticks`; see
            `Evaluation`.

        Raises:
            UserError: if a file of them is damaged.
        """
        records = read_records(records_path(self.config.run_dir, self.step))
        if self.networks_dir:
            records = [*read_records(self.networks_dir / SCORES), *records]
        # Of records with the same protocol the last one counts.
        by_protocol = {json.dumps(r["protocol"], sort_keys=True): r for r in records}
        return list(by_protocol.values())

    def export(
        self, path: str | Path | None = None, format: str = "saved_model"
    ) -> Path:
        """Writes the EMA generator for other programs.

        What another runtime reads is run by it, and compared with the generator's own
        images.

        Args:
            path: Folder to write. The default is `export/FORMAT` in the run directory.
            format: One of `sagan_tf.export.FORMATS`; see `export_saved_model`,
                `export_serving`, `export_onnx`, `export_litert`, `export_keras`,
                `export_networks` and `export_hub`.

        Returns:
            The path.

        Raises:
            UserError: if there is no such format, a package is missing, it cannot be
                written, or its images differ.
        """
        from sagan_tf.export import FORMATS, check_format

        check_format(format)
        path = Path(path or self.config.run_dir / "export" / format)
        return FORMATS[format].export(self, path)

    def unused_output(self, name: str) -> Path:
        """Returns an unused path in the run directory.

        Args:
            name: Its path there, in which `{step}` stands for the step.
        """
        return unused_path(self.config.run_dir / name.format(step=f"{self.step:06d}"))

    def class_numbers(self, labels: Labels) -> np.ndarray | None:
        """Returns labels as class numbers.

        Args:
            labels: Class numbers or class names, one or several, or None.

        Returns:
            Integers `[N]`, or None for None.

        Raises:
            UserError: if there is no such class, or the run has no classes.
        """
        if labels is None:
            return None
        if not self.config.num_classes:
            raise UserError(
                f"The run in {self.config.workdir} has no classes: leave out --labels"
            )
        if isinstance(labels, (str, int, np.integer)):
            labels = [labels]
        values: list[Any] = list(labels)
        if not values:
            raise UserError("--labels is empty: give class numbers or names")
        return np.array([self._class_number(value) for value in values], np.int32)

    def _class_number(self, value: Any) -> int:
        classes, label = self.config.classes, str(value)
        # Text may be a name that looks like a number; a number is never a name.
        if isinstance(value, str) and label in classes:
            return classes.index(label)
        if label.isdecimal() and int(label) < len(classes):
            return int(label)
        message = (
            f"The run in {self.config.workdir} has no class {label!r}. "
            f"It has 0 to {len(classes) - 1}"
        )
        if list(classes) != [str(number) for number in range(len(classes))]:
            more = ", ..." if len(classes) > 10 else ""
            message += f": {format_names(classes[:10])}{more}"
            close = difflib.get_close_matches(label, classes, n=1)
            message += f". Did you mean {close[0]}?" if close else ""
        raise UserError(message)


def load_run(workdir: str | Path, best: bool = False, step: int | None = None) -> Run:
    """Loads a checkpoint of the run in `workdir`.

    Args:
        workdir: Run directory; a folder with `config.json` and `networks.npz`, as
            `Run.export(format="hub")` writes; or `pretrained/NAME`, which comes with
            this package, and whose outputs go to `runs/pretrained/NAME`.
        best: Boolean, whether to load the checkpoint with the best score of
            `--evaluation_interval` instead of the last one.
        step: Integer, the step of the checkpoint to load instead of the last one.

    Raises:
        UserError: if there is no run, or it has no such checkpoint.
    """
    # The training package itself imports `Run`.
    from sagan_tf.training.checkpoints import Checkpoints, find_checkpoints

    if best and step is not None:
        raise UserError(f"Give either --best or --step={step}")
    pretrained = find_pretrained(workdir)
    folder = pretrained or Path(workdir)
    config = load_config(folder)
    if pretrained:  # which is not the place to write to
        output = Path(PRETRAINED_OUTPUTS, pretrained.name)
        config = dataclasses.replace(config, workdir=str(output))
    model = build_sagan(config)
    if not find_checkpoints(folder) and (folder / FILE).exists():
        load_networks(model, folder / FILE)
        run = Run(config, model, folder)
        if best or step not in (None, run.step):
            raise UserError(
                f"{workdir} has the networks of step {run.step} only: leave out --best "
                "and --step"
            )
        return run
    if Checkpoints(folder, model).restore(best, step) is None:
        if best:
            raise UserError(
                f"The run in {workdir} has no best checkpoint: it was not trained with "
                "--evaluation_interval, or its extractor cannot judge its data"
            )
        steps = {int(p.name.removeprefix("step-")) for p in find_checkpoints(workdir)}
        if step is not None and steps:
            raise UserError(
                f"The run in {workdir} has no checkpoint of step {step}, only those of "
                f"{', '.join(map(str, sorted(steps)))}"
            )
        raise UserError(f"The run in {workdir} has no checkpoint yet")
    return Run(config, model)
