"""Several workers, each a process that runs train.py, on this machine."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from benchmarks.collectives import describe_cluster
from sagan_tf import load_run
from sagan_tf.cluster import has_cluster
from sagan_tf.errors import UserError
from sagan_tf.training.checkpoints import find_checkpoints
from sagan_tf.training.distribution import make_distribution, read_slurm
from tests.comparison import assert_same_checkpoint, read_log
from tests.processes import call, start

TINY = (
    *("--width=8", "--batch_size=12", "--num_samples=4", "--synchronized_batch_norm"),
    *("--log_interval=3", "--sample_interval=6", "--checkpoint_interval=3"),
)
FEATURES = (
    "--augmentation=translation",
    "--discriminator_steps=2",
    "--horizontal_flip",
)
EXHAUSTIVE = (pytest.mark.slow, pytest.mark.exhaustive)
WORKER_KILLS = int(os.environ.get("WORKER_KILLS", 1))  # of each of two workers
LONGEST = 60  # seconds that the others may take to notice a lost worker


def start_workers(number, *arguments):
    return [
        start("train.py", *TINY, *arguments, env=environment)
        for environment in describe_cluster(number)
    ]


def finish(workers, timeout=300):
    """Returns the exit code, stdout and stderr of each worker."""
    try:
        outputs = [worker.communicate(timeout=timeout) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(w.returncode, *texts) for w, texts in zip(workers, outputs, strict=True)]


def train_on(number, *arguments):
    results = finish(start_workers(number, *arguments))
    assert [code for code, *_ in results] == [0] * number, results
    return results


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("alone")
    code, _, stderr = call(
        *("train.py", *TINY, *FEATURES, "--steps=12", f"--workdir={workdir}")
    )
    assert code == 0, stderr
    return workdir


def assert_similar_logs(workdir, other):
    rows, others = (read_log(w / "logs" / "metrics.csv") for w in (workdir, other))
    assert len(rows) == len(others) > 0
    for row, expected in zip(rows, others, strict=True):
        for name, value in expected.items():
            if name != "images_per_second":
                close = pytest.approx(float(value), rel=2e-3, abs=2e-3)
                assert float(row[name]) == close, (name, row["step"])


@pytest.mark.parametrize(
    "number", [2, pytest.param(3, marks=EXHAUSTIVE)], ids=lambda n: f"{n}_workers"
)
def test_workers_compute_what_one_process_does(number, alone, tmp_path):
    """That all have equal weights, they check themselves at their end."""
    workdir = f"--workdir={tmp_path}"
    results = train_on(number, *FEATURES, "--steps=12", workdir)
    assert_similar_logs(tmp_path, alone)
    _, chief_says, _ = results[0]
    assert f"{number} replicas (multi_worker)" in chief_says
    assert "SavedModel:" in chief_says
    for _, stdout, stderr in results[1:]:  # only the chief reports and writes
        assert stdout.splitlines() == ["Waiting for all workers of the cluster"]
        assert stderr == ""


def test_a_run_of_one_process_resumes_on_two_workers(alone, tmp_path):
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints").glob("step-*"):
        if not path.name.startswith("step-6."):
            path.unlink()
    train_on(2, *FEATURES, "--steps=12", f"--workdir={tmp_path}")
    assert_similar_logs(tmp_path, alone)


@pytest.mark.slow
def test_a_run_of_two_workers_resumes_on_one(alone, tmp_path):
    workdir = f"--workdir={tmp_path}"
    train_on(2, *FEATURES, "--steps=5", workdir)
    code, _, stderr = call("train.py", *TINY, *FEATURES, "--steps=12", workdir)
    assert code == 0, stderr
    assert_similar_logs(tmp_path, alone)
    assert load_run(tmp_path).generate(2).shape == (2, 32, 32, 1)


def test_a_signal_to_one_worker_ends_all_after_the_same_step(tmp_path):
    workers = start_workers(2, "--steps=100000", f"--workdir={tmp_path}")
    wait_for_checkpoint(tmp_path, workers)
    workers[1].send_signal(signal.SIGTERM)
    results = finish(workers, timeout=LONGEST)
    assert [code for code, *_ in results] == [143, 143], results
    (step,) = [p for p in find_checkpoints(tmp_path)][-1:]
    assert f"Saved step {step.name.split('-')[1]}." in results[0][1]


def wait_for_checkpoint(workdir, workers, since=()):
    end = time.monotonic() + 120
    while find_checkpoints(workdir) == list(since):
        assert time.monotonic() < end
        for worker in workers:
            assert worker.poll() is None, worker.communicate()
        time.sleep(0.1)


@pytest.mark.slow
def test_killed_workers_are_noticed_and_the_run_ends_like_an_undisturbed_one(tmp_path):
    flags = ("--steps=300", "--checkpoint_interval=20", "--evaluation_interval=60")
    flags += ("--evaluation_images=60",)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    train_on(2, *flags, f"--workdir={undisturbed}")
    moments, kills = random.Random(0), {0: 0, 1: 0}
    while min(kills.values()) < WORKER_KILLS:
        victim = 0 if kills[0] < kills[1] else 1
        workers = start_workers(2, *flags, f"--workdir={killed}")
        wait_for_checkpoint(killed, workers, since=find_checkpoints(killed))
        try:
            workers[victim].wait(timeout=moments.uniform(0, 3))
        except subprocess.TimeoutExpired:
            workers[victim].kill()
            kills[victim] += 1
        results = finish(workers, timeout=LONGEST)
        code, _, stderr = results[1 - victim]
        assert code == 1, results
        assert "has lost another worker" in stderr.splitlines()[-1]
        assert "Traceback" not in stderr
    train_on(2, *flags, f"--workdir={killed}")
    for index in (-2, -1):  # the last checkpoint and the best one
        assert_same_checkpoint(
            find_checkpoints(killed)[index], find_checkpoints(undisturbed)[index]
        )
    for name in ("metrics.csv", "evaluation.csv"):
        rows, others = (read_log(w / "logs" / name) for w in (killed, undisturbed))
        assert rows == others


SCRIPT = """
import sys
import numpy as np
from sagan_tf.start_tensorflow import start_tensorflow
start_tensorflow()
from sagan_tf.errors import UserError
from sagan_tf.training.distribution import make_distribution
import tensorflow as tf
distribution = make_distribution()
with distribution.strategy.scope():
    variables = [tf.Variable(v) for v in (np.zeros(3, "float32"), np.int64(0))]
for variable in variables:
    variable.assign(tf.ones_like(variable) * (7 + distribution.worker))
distribution.copy_from_chief(variables)
print([variable.numpy().tolist() for variable in variables])
print(distribution.any(distribution.worker == 1), distribution.any(False))
distribution.check_equal(b"same", "settings")
try:
    distribution.check_equal(bytes([distribution.worker, 5]), "data")
except UserError as error:
    print(error)
"""


def test_workers_agree(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    results = finish([start(str(script), env=e) for e in describe_cluster(2)])
    for worker, (code, stdout, stderr) in enumerate(results):
        assert code == 0, stderr
        _, copies, agreed, differ = stdout.splitlines()
        assert copies == "[[7.0, 7.0, 7.0], 7]"
        assert agreed == "True False"
        assert differ.startswith("The workers have different data")
        assert ("worker 1 are not those of worker 0" in differ) == (worker == 1)


def test_a_cluster_is_needed_for_several_workers(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="needs a cluster: TF_CONFIG, or"):
        make_distribution("multi_worker")


def test_slurm_describes_a_cluster(monkeypatch):
    """The variables are those that `srun --ntasks=3` sets on two machines."""
    for name, value in {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "node[07-08]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_JOB_ID": "123456",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert has_cluster()
    described = json.loads(read_slurm())
    assert described["task"] == {"type": "worker", "index": 2}
    port = 10_000 + 123_456 % 20_000
    assert described["cluster"] == {
        "worker": [f"node07:{port}", f"node07:{port + 1}", f"node08:{port}"]
    }


def test_a_machine_without_a_tpu_says_so():
    with pytest.raises(UserError, match="needs a TPU machine"):
        make_distribution("tpu")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", '
        '"index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_damaged_tf_config_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG must be like .*host2:2222"):
        has_cluster()


def test_workers_with_different_settings_end_with_one_line(tmp_path):
    environments = describe_cluster(2)
    workers = [
        start(
            *("train.py", *TINY, f"--steps={4 + index}", f"--workdir={tmp_path / 'r'}"),
            env=environment,
        )
        for index, environment in enumerate(environments)
    ]
    for code, _, stderr in finish(workers, timeout=LONGEST):
        assert code == 1
        assert stderr.startswith("Error: The workers have different settings")
    assert not (tmp_path / "r").exists()
