"""The devices that training runs on: one, several, or those of several machines."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from sagan_tf import replicas
from sagan_tf.cluster import (
    has_cluster,
    has_slurm,
    read_tf_config,
    wait_for_workers,
)
from sagan_tf.errors import UserError
from sagan_tf.signals import Signals
from sagan_tf.text import first_line
from sagan_tf.types import Tensor


class Distribution:
    """The replicas of a run, and the workers (processes) that they belong to.

    Every worker runs the same program. One of them is the chief, which alone writes.

    Args:
        strategy: `tf.distribute` strategy.
        name: `"none"`, `"mirrored"`, `"multi_worker"` or `"tpu"`.

    Attributes:
        strategy: As given.
        name: As given.
        num_replicas: Integer, the number of devices that share each batch.
        num_workers: Integer.
        worker: Integer, which of the workers this process is. 0 is the chief.
    """

    def __init__(self, strategy: Any, name: str):
        self.strategy, self.name = strategy, name
        self.num_replicas: int = strategy.num_replicas_in_sync
        self.num_workers, self.worker = 1, 0
        if name == "multi_worker":
            addresses, self.worker = read_tf_config()
            self.num_workers = len(addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, or alone."""
        return self.worker == 0

    def distribute(self, make: Callable) -> Any:
        """Returns a data set whose elements are distributed to the replicas.

        Args:
            make: Function of the number of replicas and those of this worker. It
                returns an endless `tf.data.Dataset` with their shares in turn.
        """
        if self.num_replicas == 1:
            return make(1, (0,))

        def make_local(context: Any) -> tf.data.Dataset:
            number = self.num_replicas // context.num_input_pipelines
            first = context.input_pipeline_id * number
            dataset = make(self.num_replicas, range(first, first + number))
            # Without it the workers would ask one another in each step whether any of
            # them has reached the end of its data.
            assert_cardinality = tf.data.experimental.assert_cardinality
            return dataset.apply(assert_cardinality(tf.data.INFINITE_CARDINALITY))

        return self.strategy.distribute_datasets_from_function(make_local)

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is true on any worker. Waits for all workers."""
        if self.num_workers == 1:
            return flag
        return self._sum(tf.constant([float(flag)])).numpy()[0] > 0

    def wait(self) -> None:
        """Waits for all workers."""
        self.any(False)

    def gather(self, text: str) -> list[str]:
        """Returns the texts of all workers in their order. Waits for all workers."""
        if self.num_workers == 1:
            return [text]
        own = np.frombuffer(text.encode(), np.uint8)
        lengths = np.zeros(self.num_workers, np.float32)
        lengths[self.worker] = len(own)
        lengths = self._sum(tf.constant(lengths)).numpy().astype(int)
        texts = np.zeros((self.num_workers, max(lengths)), np.float32)
        texts[self.worker, : len(own)] = own
        texts = self._sum(tf.constant(texts)).numpy().astype(np.uint8)
        return [
            row[:length].tobytes().decode()
            for row, length in zip(texts, lengths, strict=True)
        ]

    def check_equal(self, text: str, what: str) -> None:
        """Checks that something is equal on all workers.

        Args:
            text: It, or a description of it, on this worker.
            what: What it is, for the message.

        Raises:
            UserError: on all workers, if it differs from the chief's on one of them.
        """
        chief, *others = self.gather(text)
        for worker, other in enumerate(others, start=1):
            if other != chief:
                raise UserError(
                    f"The workers have different {what}: {chief} on worker 0, "
                    f"{other} on worker {worker}"
                )

    @contextlib.contextmanager
    def shared_errors(self) -> Iterator[None]:
        """Raises a `UserError` of one worker on all. At its end it waits for all."""
        try:
            yield
        except UserError as error:
            with contextlib.suppress(tf.errors.OpError):  # another one has ended, too
                self.gather(str(error))
            raise
        for worker, message in enumerate(self.gather("")):
            if message:
                raise UserError(f"Worker {worker} has ended: {message}")

    def copy_from_chief(self, variables: Iterable[Any]) -> None:
        """Gives variables the chief's values on all workers."""
        if self.num_workers == 1:
            return
        variables = list(variables)

        @tf.function
        def copy() -> None:
            self.strategy.run(assign)

        def assign() -> None:
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, 0)
            for variable in variables:
                value = tf.where(is_first, variable, tf.zeros_like(variable))
                variable.assign(context.all_reduce("SUM", value))

        copy()

    @functools.cached_property
    def _sum(self) -> Callable:
        """A function of a float32 tensor that sums it over the workers."""

        @tf.function(reduce_retracing=True)
        def total(value: Tensor) -> Tensor:
            # The mean is over replicas, of which each worker has equally many.
            result = self.strategy.run(lambda: replicas.mean(value * self.num_workers))
            return self.strategy.experimental_local_results(result)[0]

        return total

    @contextlib.contextmanager
    def lost_worker_errors(self) -> Iterator[None]:
        """Raises a `UserError` if another worker has ended or cannot be reached."""
        try:
            yield
        except tf.errors.OpError as error:
            of_cluster = any(word in str(error) for word in ("ollective", "/job:"))
            is_lost = isinstance(error, _LOST) and of_cluster
            if self.num_workers == 1 or not is_lost:
                raise
            reason = str(error).split("aborted by: ")[-1].splitlines()[0].rstrip(":")
            raise UserError(
                f"Worker {self.worker} has lost another worker ({reason}). If it has "
                "ended by an error, see its own message. Else start all workers again "
                "with the same command: training resumes from the last checkpoint"
            ) from error


_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


@functools.cache  # the collective operations of two strategies would clash
def make_distribution(name: str = "auto") -> Distribution:
    """Returns the devices to train on.

    Args:
        name: `"none"`: one device; `"mirrored"`: all GPUs of this machine, or, without
            one, all logical CPUs; `"multi_worker"`: those of the machines in
            `TF_CONFIG` or of Slurm's tasks; `"tpu"`: those of this TPU machine;
            `"auto"`: multi_worker in a cluster, mirrored with several GPUs, or none.

    Raises:
        UserError: if there are no such devices, or TensorFlow has been used already
            when it is to join a cluster.
    """
    if name in ("none", "mirrored") and has_cluster():
        logging.warning(
            "This process is one of a cluster, but trains alone: --strategy=%s", name
        )
    if name == "auto":
        if has_cluster():
            name = "multi_worker"
        else:
            several = len(tf.config.list_physical_devices("GPU")) > 1
            name = "mirrored" if several else "none"
    makers: dict[str, Callable] = {
        "none": tf.distribute.get_strategy,
        "mirrored": _make_mirrored,
        "multi_worker": _make_multi_worker,
        "tpu": _make_tpu,
    }
    return Distribution(makers[name](), name)


def _make_mirrored() -> Any:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices(
        "CPU"
    )
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _make_multi_worker() -> Any:
    if not has_cluster():
        raise UserError(
            "--strategy=multi_worker needs a cluster: TF_CONFIG, or a start by Slurm's "
            "srun. See docs/distributed.md"
        )
    if "TF_CONFIG" not in os.environ and has_slurm():
        os.environ["TF_CONFIG"] = read_slurm()
    addresses, worker = read_tf_config()
    wait_for_workers(addresses, worker)
    print(f"Worker {worker} of {len(addresses)} joins the others", flush=True)
    try:
        with Signals.left_to_system():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UserError(
            f"TensorFlow cannot join the cluster: {first_line(error)}. Start `train` "
            "first, in a new process"
        ) from error
    except tf.errors.OpError as error:
        raise UserError(
            f"TensorFlow cannot join the cluster as {addresses[worker]}: "
            f"{first_line(error)}"
        ) from error


def read_slurm() -> str:
    """Returns the `TF_CONFIG` of this task of a Slurm job.

    Slurm shows each task its GPUs. TensorFlow's resolver would show it others, and
    fails without any.
    """
    num_tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            # Jobs that share a machine need different ports.
            port_base=10_000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 20_000,
            gpus_per_node=num_tasks,
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        cluster = resolver.cluster_spec().as_dict()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"Slurm's variables describe no cluster: {error}") from error
    job, task = resolver.get_task_info()
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": task}})


def _make_tpu() -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            "--strategy=tpu needs a TPU machine. Without one leave it out "
            f"({first_line(error):.100})"
        ) from error


def describe_devices(strategy: str = "auto") -> str:
    """Returns the names of the devices of this machine that a strategy uses.

    Args:
        strategy: Name of the strategy. The default is for all devices.
    """
    if strategy == "tpu":
        return "TPU"
    gpus = tf.config.list_physical_devices("GPU")
    if strategy == "none":
        gpus = gpus[:1]
    if not gpus:
        return "CPU (TensorFlow sees no GPU)"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return ", ".join(detail.get("device_name", "GPU") for detail in details)
