"""Which cluster this process is one worker of, as the environment says."""

import json
import os

from sagan_tf.errors import UserError


def has_cluster() -> bool:
    """Returns whether the environment describes a cluster of several workers.

    `TF_CONFIG` does, or the variables of a task of Slurm's `srun`.

    Raises:
        UserError: if `TF_CONFIG` is damaged.
    """
    if "TF_CONFIG" in os.environ:
        return _count_workers(os.environ["TF_CONFIG"]) > 1
    return has_slurm()


def has_slurm() -> bool:
    """Returns whether this process is one of several that `srun` has started."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def _count_workers(text: str) -> int:
    try:
        description = json.loads(text)
        cluster = description.get("cluster", {})
        workers = sum(len(cluster.get(job, ())) for job in ("chief", "worker"))
        task = description.get("task", {})
        if workers > 1 and not task["index"] < len(cluster[task["type"]]):
            raise ValueError("there is no such task")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "TF_CONFIG must be like "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": '
            f'"worker", "index": 0}}}}. Received: {text} ({error})'
        ) from None
    return workers
