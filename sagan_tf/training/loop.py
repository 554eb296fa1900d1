"""The training loop: steps on the devices, and what is done between them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from sagan_tf.models.sagan import SAGAN
from sagan_tf.types import Tensor


def run_steps(
    model: SAGAN,
    strategy: Any,
    dataset: Any,
    last_step: int,
    hooks: Sequence[keras.callbacks.Callback],
    steps_per_execution: int = 1,
    intervals: Sequence[int] = (),
) -> None:
    """Trains a model up to a step.

    It does what `keras.Model.fit` does, whose logs several workers cannot share and
    whose executions are all of the same length.

    Args:
        model: Compiled `SAGAN`.
        strategy: `tf.distribute` strategy whose scope it was made in.
        dataset: Data set, distributed if there are several replicas, that begins with
            the step after the model's.
        last_step: Integer.
        hooks: Callbacks; `on_train_begin`, and `on_train_batch_begin` and
            `on_train_batch_end` around each execution.
        steps_per_execution: Positive integer, the most steps that the devices run
            without coming back to Python.
        intervals: Positive integers. No execution passes a multiple of them.
    """
    callbacks = keras.callbacks.CallbackList(hooks, model=model)
    execute = make_execution(model, strategy, steps_per_execution)
    callbacks.on_train_begin()
    iterator = iter(dataset)
    step = int(model.step.numpy())
    while step < last_step:
        ends = [last_step, *(step - step % k + k for k in intervals)]
        count = min(steps_per_execution, min(ends) - step)
        callbacks.on_train_batch_begin(step)
        # To floats at once: only then have the devices computed these steps.
        logs = {
            name: float(value)
            for name, value in execute(iterator, tf.constant(count)).items()
        }
        step += count
        callbacks.on_train_batch_end(step - 1, logs)
    callbacks.on_train_end()


def make_execution(model: SAGAN, strategy: Any, steps_per_execution: int) -> Callable:
    """Returns a function of an iterator and a number of steps, which runs these steps.

    It returns the metrics since they were last reset on this worker.
    """
    # Without AutoGraph: it would take seconds to translate the step, and under Python
    # 3.13 it does not find the source of the loop.
    train_step = model.train_step
    if model.jit_compile:
        train_step = tf.function(
            train_step, autograph=False, jit_compile=True, reduce_retracing=True
        )

    @tf.function(autograph=False, reduce_retracing=True)
    def execute(iterator: Any, count: Tensor) -> dict[str, Tensor]:
        def run_step(done: Tensor) -> Tensor:
            strategy.run(train_step, (iterator.get_next(),))
            return done + 1

        if steps_per_execution == 1:
            run_step(0)
        else:
            tf.while_loop(lambda done: done < count, run_step, [0])
        return {metric.name: metric.result() for metric in model.metrics}

    return execute
