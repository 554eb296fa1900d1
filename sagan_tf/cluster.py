"""Which cluster this process is one worker of, as the environment says."""

import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from sagan_tf.errors import UserError
from sagan_tf.text import first_line

_REPORT_SECONDS = 30.0


def has_cluster() -> bool:
    """Returns whether the environment describes a cluster of several workers.

    `TF_CONFIG` does, or the variables of a task of Slurm's `srun`.

    Raises:
        UserError: if `TF_CONFIG` is damaged.
    """
    if "TF_CONFIG" in os.environ:
        return len(read_tf_config()[0]) > 1
    return has_slurm()


def has_slurm() -> bool:
    """Returns whether this process is one of several that `srun` has started."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def read_tf_config() -> tuple[list[str], int]:
    """Returns the workers' addresses in `TF_CONFIG`, and which of them this one is.

    The chief's address is the first one.

    Raises:
        UserError: if `TF_CONFIG` is damaged.
    """
    text = os.environ["TF_CONFIG"]
    try:
        description = json.loads(text)
    except ValueError as error:
        raise _damaged(text, f"it is no JSON: {error}") from None
    if description == {}:
        return [], 0
    jobs = _get(text, description, "cluster")
    for job, addresses in jobs.items():
        if job not in ("chief", "worker"):
            raise _damaged(text, f"the jobs are chief and worker, and not {job}")
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)):
            raise _damaged(text, f"{job} is no list of addresses, host:port")
    tasks = [
        (job, index)
        for job in ("chief", "worker")
        for index in range(len(jobs.get(job, [])))
    ]
    addresses = [jobs[job][index] for job, index in tasks]
    if len(set(addresses)) < len(addresses):
        raise _damaged(text, "two workers have the same address")
    if len(addresses) < 2:  # then launchers may leave out the task
        return addresses, 0
    task = _get(text, description, "task")
    own = task.get("type", "worker"), task.get("index")
    if own not in tasks or type(own[1]) is not int:
        raise _damaged(text, f"the cluster has no task {own[0]} {own[1]}")
    return addresses, tasks.index(own)


def wait_for_workers(addresses: Sequence[str], worker: int) -> None:
    """Waits until every worker has begun to wait, and says for which it waits.

    TensorFlow, which waits for them as well, cannot be interrupted then.

    Args:
        addresses: Of all workers.
        worker: Integer, which of them this process is.

    Raises:
        UserError: if the port of this worker cannot be used.
    """
    own = addresses[worker]
    missing = {a: "" for a in addresses if a != own}
    listening = _listen(own, worker)
    next_report = time.monotonic()
    try:
        while missing := _try_to_reach(missing):
            if time.monotonic() >= next_report:
                reasons = [f"{a} ({reason})" for a, reason in missing.items()]
                others = f" and {len(reasons) - 8} others" * (len(reasons) > 8)
                print(
                    f"Worker {worker} of {len(addresses)}, at {own}, waits for "
                    f"{', '.join(reasons[:8])}{others}",
                    flush=True,
                )
                next_report = time.monotonic() + _REPORT_SECONDS
            time.sleep(0.5)
    finally:
        listening.close()


def _listen(address: str, worker: int) -> socket.socket:
    """Lets the others reach this worker's port, which is free for TensorFlow after."""
    port = int(address.rpartition(":")[2])
    try:
        return socket.create_server(("", port))
    except OSError as error:
        raise UserError(
            f"Worker {worker} cannot use its port, {address}: {first_line(error)}. "
            "Choose another for it in the TF_CONFIG of all workers. Each worker needs "
            "an index of its own"
        ) from None


def _try_to_reach(addresses: dict[str, str]) -> dict[str, str]:
    """Returns which addresses cannot be reached, and why."""
    missing = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError as error:
            missing[address] = error.strerror or str(error)
    return missing


def _get(text: str, description: Any, name: str) -> dict[str, Any]:
    found = description.get(name) if isinstance(description, dict) else None
    if not isinstance(found, dict):
        raise _damaged(text, f"it has no {name}")
    return found


def _is_address(address: Any) -> bool:
    if not isinstance(address, str):
        return False
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _damaged(text: str, reason: str) -> UserError:
    return UserError(
        'TF_CONFIG must be like {"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
        f'"task": {{"type": "worker", "index": 0}}}}, but {reason}. Received: {text}'
    )
