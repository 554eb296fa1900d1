"""The memory of a long run.

`RSS_STEPS=20000 python -m pytest -m slow tests/training/test_memory.py` trains longer.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.processes import start

STEPS = max(int(os.environ.get("RSS_STEPS", 3000)), 2500)
SETTINGS = (
    *("--width=8", "--batch_size=8", "--num_samples=16", "--log_interval=50"),
    *("--sample_interval=200", "--checkpoint_interval=500"),
    *("--evaluation_interval=500", "--evaluation_images=200"),
)


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_steps(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    end = time.monotonic() + 300 + STEPS / 10
    process = start(
        *("-m", "sagan_tf", "train", f"--workdir={tmp_path / 'run'}"),
        *(*SETTINGS, f"--steps={STEPS}"),
        cwd=tmp_path,
        env={"SAGAN_TF_CACHE": str(tmp_path / "cache")},
    )
    used: dict[int, list[int]] = {}
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if found := re.search(r"VmRSS:\s+(\d+) kB", status):
            used.setdefault(last_step(tmp_path / "run"), []).append(int(found[1]))
        if time.monotonic() > end:
            process.kill()
        time.sleep(0.5)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    # Buffers are allocated during the first evaluations.
    first, last = (
        max(
            kilobytes
            for step, own in used.items()
            if step in steps
            for kilobytes in own
        )
        for steps in (range(1000, 1500), range(STEPS - 500, STEPS))
    )
    assert last < 1.02 * first, used


def last_step(workdir):
    log = workdir / "logs" / "metrics.csv"
    rows = log.read_text().split("\n")[1:-1] if log.exists() else []
    return int(rows[-1].split(",")[0]) if rows else 0
