"""The evaluations between the steps of a run, and its best checkpoint."""

import itertools
import json
import math
from collections.abc import Mapping

from absl import logging
from tqdm import tqdm

from sagan_tf import evaluation, files
from sagan_tf.config import Config
from sagan_tf.rows import parse_dict, read_number
from sagan_tf.sampling import Sampler
from sagan_tf.signals import Signals
from sagan_tf.training.callbacks import StepCallback
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.logs import Board, StepLog


class Evaluation(StepCallback):
    """Evaluates every `evaluation_interval` steps and keeps the best checkpoint.

    The first evaluation is at the step that training starts from. The score is of
    `evaluation_images` images of the EMA generator. It goes to `logs/evaluation.csv`
    and to TensorBoard, and its yardsticks go to `logs/yardsticks.json`. With an
    extractor that cannot judge the data there is no best checkpoint.

    Args:
        config: `Config`.
        sampler: `Sampler` of the EMA generator.
        checkpoints: `Checkpoints`.
        board: `Board`.
        signals: `Signals`, which may end an evaluation, as it can take minutes.

    Raises:
        UserError: if the extractor or the real images are missing.
    """

    def __init__(
        self,
        config: Config,
        sampler: Sampler,
        checkpoints: Checkpoints,
        board: Board,
        signals: Signals,
    ):
        super().__init__()
        self._config = config
        self._sampler = sampler
        self._board = board
        self._signals = signals
        self._checkpoints = checkpoints
        self._extractor = evaluation.load_extractor(config.evaluation_extractor, config)
        self._real, self._held_out = evaluation.find_real_images(
            config.split,
            config,
            max(config.evaluation_images, 10_000),
            config.evaluation_images,
        )
        self._score_name = evaluation.score_name(
            config.evaluation_metric, self._extractor.short_name
        )
        self._evaluator: evaluation.Evaluator | None = None
        self._can_judge = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._log = StepLog(
            self._config.run_dir / "logs" / "evaluation.csv",
            ["metric", "score", "protocol"],
            self._step,
            self._board,
        )
        if self._is_missing():
            self._evaluate_interruptibly(self._step)

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if self._is_due(step):
            self._evaluate_interruptibly(step)

    def _evaluate_interruptibly(self, step: int) -> None:
        with self._signals.immediate():
            self._evaluate(step)

    def _is_due(self, step: int) -> bool:
        return step % (self._config.evaluation_interval or math.inf) == 0

    def _is_missing(self) -> bool:
        """Returns whether the step that training starts from must be evaluated.

        A run that is only resumed gets the same rows as one that never stopped: its
        step has a row only if one is due that an interruption has prevented. A metric
        or extractor without any row is computed at once, because a score that cannot be
        computed must not show after hours.
        """
        steps = [row["step"] for row in self._log.rows if self._is_current(row)]
        return not steps or (self._is_due(self._step) and str(self._step) not in steps)

    def _is_current(self, row: Mapping[str, str]) -> bool:
        """Returns whether a row is of the metric, extractor and number of images."""
        protocol = parse_dict(row.get("protocol"))
        return (
            row.get("metric") == self._score_name
            and protocol.get("extractor_sha256") == self._extractor.digest
            and protocol.get("num_fake") == self._config.evaluation_images
        )

    def _evaluate(self, step: int) -> None:
        evaluator = self._prepare()
        fake = evaluation.generated_images(
            self._sampler,
            "EMA generator",
            step,
            self._config.evaluation_images,
            self._config.seed,
        )
        scores, protocol = evaluator.score(fake)
        # As it is logged: unrounded, an equal score could seem better than its row.
        text = f"{scores[self._score_name]:.6g}"
        # The step is a column of its own.
        protocol = {k: v for k, v in protocol.items() if not k.startswith("fake")}
        row = {"metric": self._score_name, "protocol": json.dumps(protocol)}
        is_best = self._can_judge and self._is_better(
            float(text), self._scores_before(row)
        )
        # Before its row, which says that the checkpoint exists.
        if is_best:
            self._checkpoints.save_best()
        self._log.write(step, scores, score=text, **row)
        ending = ", the best so far" if is_best else ""
        tqdm.write(f"Step {step}: {self._score_name} {float(text):.4g}{ending}")

    def _prepare(self) -> evaluation.Evaluator:
        """Computes the features of real images, and the yardsticks, once."""
        if self._evaluator is None:
            evaluator = evaluation.Evaluator(
                self._extractor,
                self._real,
                [self._config.evaluation_metric],
                show_progress=False,
            )
            yardsticks = evaluation.measure_yardsticks(
                evaluator,
                self._held_out,
                self._config,
                self._config.evaluation_images,
            )
            fault = evaluation.find_fault(self._extractor, yardsticks)
            if fault is not None:
                logging.warning(
                    "%s. Scores are logged, but no checkpoint is kept as the best one. "
                    "Choose another --evaluation_extractor",
                    fault,
                )
            written = {kind: own._asdict() for kind, own in yardsticks.items()}
            path = self._config.run_dir / "logs" / "yardsticks.json"
            files.write_text(path, json.dumps(written, indent=2) + "\n")
            # Last: an interruption before leaves nothing half-done.
            self._can_judge, self._evaluator = fault is None, evaluator
        return self._evaluator

    def _scores_before(self, row: Mapping[str, str]) -> list[float]:
        """Returns the scores since the last change of metric or protocol.

        The first score after a change is the new best.
        """
        same = itertools.takewhile(
            lambda score: not math.isnan(score),
            (
                read_number(other, "score")
                if all(other.get(name) == text for name, text in row.items())
                else math.nan
                for other in reversed(self._log.rows)
            ),
        )
        return list(same)

    def _is_better(self, score: float, before: list[float]) -> bool:
        if evaluation.METRICS[self._config.evaluation_metric].lower_is_better:
            return score < min(before, default=math.inf)
        return score > max(before, default=-math.inf)
