"""The evaluations between the steps of a run, and its best checkpoint."""

import itertools
import json
import math
from collections.abc import Mapping

from tqdm import tqdm

from sagan_tf import evaluation
from sagan_tf.config import Config
from sagan_tf.sampling import Sampler
from sagan_tf.signals import Signals
from sagan_tf.training.callbacks import StepCallback
from sagan_tf.training.checkpoints import Checkpoints
from sagan_tf.training.logs import Board, StepLog


class Evaluation(StepCallback):
    """Evaluates every `evaluation_interval` steps and keeps the best checkpoint.

    The first evaluation is at the step that training starts from. The score is of
    `evaluation_images` images of the EMA generator. It goes to `logs/evaluation.csv`
    and to TensorBoard.

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
        self._real = evaluation.find_images(
            config.split, config, max(config.evaluation_images, 10_000)
        )

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._log = StepLog(
            self._config.run_dir / "logs" / "evaluation.csv",
            ["metric", "score", "protocol"],
            self._step,
            self._board,
        )
        # At once: a score that cannot be computed must not show after hours.
        if not any(self._is_current(row) for row in self._log.rows):
            with self._signals.immediate():
                self._evaluate(self._step)

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if step % (self._config.evaluation_interval or math.inf) == 0:
            with self._signals.immediate():
                self._evaluate(step)

    def _is_current(self, row: Mapping[str, str]) -> bool:
        protocol = json.loads(row["protocol"])
        return (
            row["step"] == str(self._step)
            and row["metric"] == self._config.evaluation_metric
            and protocol["extractor_sha256"] == self._extractor.digest
            and protocol["num_fake"] == self._config.evaluation_images
        )

    def _evaluate(self, step: int) -> None:
        name = self._config.evaluation_metric
        fake = evaluation.generated_images(
            self._sampler,
            "EMA generator",
            step,
            self._config.evaluation_images,
            self._config.seed,
        )
        scores, protocol = evaluation.evaluate(
            self._extractor, self._real, fake, [name], show_progress=False
        )
        # The step is a column of its own.
        protocol = {k: v for k, v in protocol.items() if not k.startswith("fake")}
        row = {"metric": name, "protocol": json.dumps(protocol)}
        is_best = self._is_better(scores[name], self._scores_before(row))
        # Before its row, which says that the checkpoint exists.
        if is_best:
            self._checkpoints.save_best()
        self._log.write(step, scores, score=f"{scores[name]:.6g}", **row)
        tqdm.write(
            f"Step {step}: {name} {scores[name]:.4g}{', the best so far' * is_best}"
        )

    def _scores_before(self, row: Mapping[str, str]) -> list[float]:
        """Returns the scores since the last change of metric or protocol.

        The first score after a change is the new best.
        """
        same = itertools.takewhile(
            lambda other: all(other[name] == text for name, text in row.items()),
            reversed(self._log.rows),
        )
        return [float(other["score"]) for other in same]

    def _is_better(self, score: float, before: list[float]) -> bool:
        if evaluation.METRICS[self._config.evaluation_metric].lower_is_better:
            return score < min(before, default=math.inf)
        return score > max(before, default=-math.inf)
