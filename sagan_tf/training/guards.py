"""Guards: what ends a run that has failed, and what warns of one that will."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.sampling import Sampler
from sagan_tf.training.callbacks import StepCallback, measure_layers
from sagan_tf.training.checkpoints import Checkpoints


class NonFiniteGuard(StepCallback):
    """Ends a run whose losses are NaN or infinite, before it is saved.

    Raises:
        UserError: at the first such step.
    """

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if not all(math.isfinite(value) for value in logs.values()):
            values = ", ".join(f"{name} {value:g}" for name, value in logs.items())
            raise UserError(
                f"The losses are no longer finite at step {step} ({values}). The last "
                "checkpoint is from before; try lower learning rates in a new workdir"
            )


class SkippedStepsGuard(StepCallback):
    """Ends a run in float16 that skips step after step, and saves its last step.

    Args:
        config: `Config`.
        checkpoints: `Checkpoints`; of the chief alone.

    Raises:
        UserError: after `config.max_skipped_steps` in a row.
    """

    def __init__(self, config: Config, checkpoints: Checkpoints | None):
        super().__init__()
        self._config = config
        self._checkpoints = checkpoints

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if not self.model.scales_loss:
            return
        skipped = int(self.model.skipped_in_a_row.numpy())
        if skipped < self._config.max_skipped_steps:
            return
        if self._checkpoints:
            self._checkpoints.save()
        raise UserError(
            f"The gradients of the last {skipped} steps were not finite. Step {step} "
            "is saved: its weights are finite. Start a new run from it with lower "
            "learning rates, or with --precision=float32 or mixed_bfloat16: add "
            f"--init_from={self._config.workdir} and another --workdir"
        )


class CollapseGuard(StepCallback):
    """Warns, once each, of the usual signs of a collapse.

    Every `sample_interval` steps it checks

    - the diversity of samples, the standard deviation of their pixels from image to
      image: from step 1,000 it should be at least a quarter of the real images';
    - the discriminator's margin, the mean logit of real images minus that of generated
      ones, under losses that bound it;
    - the gammas of attention and the sigmas of spectral normalization.

    Args:
        config: `Config`.
        sampler: `Sampler` of the EMA generator.
        real_images: Some real images in `[-1, 1]`, for comparison.
    """

    LEAST_DIVERSITY, FIRST_STEP = 0.25, 1000
    LARGEST_MARGIN = 15.0
    LARGEST_GAMMA = 10.0
    SIGMAS = (1e-2, 1e2)

    def __init__(self, config: Config, sampler: Sampler, real_images: Any):
        super().__init__()
        self._config = config
        self._sampler = sampler
        self._real_diversity = _measure_diversity(np.asarray(real_images) * 127.5)
        self._warned: set[str] = set()

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        if step % self._config.sample_interval:
            return
        if step >= self.FIRST_STEP:
            samples = self._sampler.generate(64, seed=self._config.seed)
            ratio = _measure_diversity(samples) / self._real_diversity
            if ratio < self.LEAST_DIVERSITY:
                self._warn(
                    "diversity",
                    f"samples vary only {ratio:.0%} as much as real images: the "
                    "generator may have collapsed",
                )
        margin = logs["real_logits"] - logs["fake_logits"]
        bounded = self.model.adversarial_loss.has_bounded_logits
        if bounded and margin > self.LARGEST_MARGIN:
            self._warn(
                "margin",
                f"the discriminator's logits are {margin:.3g} apart: it may be too "
                "strong for the generator to learn from",
            )
        for name, value in measure_layers(self.model).items():
            if name.endswith("gamma") and abs(value) > self.LARGEST_GAMMA:
                self._warn(
                    name, f"{name} is {value:.3g}: attention outweighs its input"
                )
            low, high = self.SIGMAS
            if name.endswith("sigma") and not low <= value <= high:
                self._warn(
                    name, f"{name} is {value:.3g}; usual values are {low:g} to {high:g}"
                )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            tqdm.write(f"Warning, step {self._step}: {text}", file=sys.stderr)


def _measure_diversity(images: np.ndarray) -> float:
    return images.astype(np.float64).std(axis=0).mean()
