import json
import os
import signal

import pytest

from sagan_tf.errors import UserError
from sagan_tf.training.lock import is_locked, lock_run
from tests.processes import start

HOLD = """
import sys, time
from pathlib import Path
from sagan_tf.training.lock import lock_run
with lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the run directory."""
    process = start("-c", HOLD, str(tmp_path))
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_by_name(holder, tmp_path):
    assert is_locked(tmp_path)
    host = json.loads((tmp_path / ".lock.json").read_text())["host"]
    message = f"is being written by process {holder.pid} on {host} since 20"
    with pytest.raises(UserError, match=message), lock_run(tmp_path):
        pass


def test_a_killed_process_holds_nothing(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert not is_locked(tmp_path)
    with lock_run(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_refused_run_leaves_no_directory(tmp_path):
    run = tmp_path / "a" / "run"
    with pytest.raises(ValueError), lock_run(run):
        raise ValueError
    assert not run.exists()
    with lock_run(run):
        (run / "config.json").touch()
    assert (run / "config.json").exists()
