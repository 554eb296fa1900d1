"""Several workers, each a process that runs train.py, on this machine."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from benchmarks.collectives import describe_cluster
from sagan_tf import load_run
from sagan_tf.cluster import has_cluster, read_tf_config, wait_for_workers
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
            close = pytest.approx(float(value), rel=2e-3, abs=2e-3)
            assert float(row[name]) == close, (name, row["step"])


@pytest.mark.parametrize(
    "number",
    [2, pytest.param(3, marks=pytest.mark.exhaustive)],
    ids=lambda n: f"{n}_workers",
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
        *_, joins, starts, ends = stdout.splitlines()
        assert joins.endswith(f"of {number} joins the others")
        assert starts == "Training to step 12. Worker 0 prints the progress"
        assert ends == "Step 12 is reached"
        assert stderr == ""


@pytest.mark.exhaustive
def test_a_run_of_one_process_resumes_on_two_workers(alone, tmp_path):
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints").glob("step-*"):
        if not path.name.startswith("step-6."):
            path.unlink()
    train_on(2, *FEATURES, "--steps=12", f"--workdir={tmp_path}")
    assert_similar_logs(tmp_path, alone)


@pytest.mark.exhaustive
def test_a_run_of_two_workers_resumes_on_one(alone, tmp_path):
    workdir = f"--workdir={tmp_path}"
    train_on(2, *FEATURES, "--steps=5", workdir)
    code, _, stderr = call("train.py", *TINY, *FEATURES, "--steps=12", workdir)
    assert code == 0, stderr
    assert_similar_logs(tmp_path, alone)
    assert load_run(tmp_path).generate(2).shape == (2, 32, 32, 1)


@pytest.mark.slow
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


@pytest.mark.exhaustive
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
distribution.check_equal("same", "data")
print(distribution.gather("\u00e4" * distribution.worker))
for what in ("data", "error"):
    try:
        with distribution.shared_errors():
            if what == "error" and distribution.worker == 1:
                raise UserError("no such file")
        distribution.check_equal(f"{distribution.worker} images", what)
    except UserError as error:
        print(error)
"""


def test_workers_agree(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    results = finish([start(str(script), env=e) for e in describe_cluster(2)])
    for worker, (code, stdout, stderr) in enumerate(results):
        assert code == 0, stderr
        *_, joins, copies, agreed, gathered, differ, shared = stdout.splitlines()
        assert joins == f"Worker {worker} of 2 joins the others"
        assert copies == "[[7.0, 7.0, 7.0], 7]"
        assert agreed == "True False"
        assert gathered == "['', '\u00e4']"
        counts = "0 images on worker 0, 1 images on worker 1"
        assert differ == f"The workers have different data: {counts}"
        ended = "Worker 1 has ended: " * (worker == 0)
        assert shared == f"{ended}no such file"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_the_others_can_be_stopped(number, tmp_path):
    worker = start("train.py", *TINY, "--workdir=run", env=describe_cluster(2)[0])
    assert "waits for localhost:" in worker.stdout.readline()
    worker.send_signal(number)
    _, stderr = worker.communicate(timeout=10)
    assert stderr == "Stopped\n"
    assert worker.returncode == 128 + number


def test_a_worker_says_whom_it_waits_for(monkeypatch, capsys):
    monkeypatch.setattr("sagan_tf.cluster._REPORT_SECONDS", 0.0)
    cluster = json.loads(describe_cluster(2)[0]["TF_CONFIG"])["cluster"]
    addresses = cluster["worker"]
    here = threading.Thread(target=wait_for_workers, args=(addresses, 0))
    here.start()
    time.sleep(1)
    wait_for_workers(addresses, 1)
    port = int(addresses[1].rpartition(":")[2])
    with socket.create_server(("", port)):  # TensorFlow's
        here.join(timeout=10)
    assert not here.is_alive()
    waits = f"Worker 0 of 2, at {addresses[0]}, waits for {addresses[1]} (Connection"
    assert waits in capsys.readouterr().out


def test_a_port_in_use_is_an_error():
    with socket.create_server(("", 0)) as used:
        address = f"localhost:{used.getsockname()[1]}"
        with pytest.raises(UserError, match=f"cannot use its port, {address}"):
            wait_for_workers(["localhost:1", address], 1)


def test_a_worker_that_trains_alone_says_so(monkeypatch, caplog):
    for name, value in describe_cluster(2)[0].items():
        monkeypatch.setenv(name, value)
    assert make_distribution.__wrapped__("none").num_workers == 1
    assert "one of a cluster, but trains alone: --strategy=none" in caplog.text


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


def tf_config(worker=("a:1", "b:1"), type="worker", index=0, **jobs):
    task = {"type": type, "index": index}
    return json.dumps({"cluster": {"worker": worker, **jobs}, "task": task})


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "it is no JSON"),
        ("[]", "it has no cluster"),
        ('{"task": {"type": "worker", "index": 0}}', "it has no cluster"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "it has no task"),
        (tf_config(index=2), "the cluster has no task worker 2"),
        (tf_config(index=-1), "the cluster has no task worker -1"),
        (tf_config(index="0"), "the cluster has no task worker 0"),
        (tf_config(type="wrkr"), "the cluster has no task wrkr 0"),
        (tf_config(ps=["c:1"]), "the jobs are chief and worker, and not ps"),
        (tf_config("a:1,b:1"), "worker is no list of addresses"),
        (tf_config(["a", "b:1"]), "worker is no list of addresses"),
        (tf_config(["a:1", 5]), "worker is no list of addresses"),
        (tf_config(["a:1", "a:1"]), "two workers have the same address"),
    ],
)
def test_a_damaged_tf_config_is_refused(text, reason, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    message = f"TF_CONFIG must be like .*host2:2222.*, but {reason}"
    with pytest.raises(UserError, match=message):
        has_cluster()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{}", ([], 0)),
        (tf_config(["a:1"]), (["a:1"], 0)),
        (tf_config(["b:1"], chief=["a:1"]), (["a:1", "b:1"], 1)),
        (tf_config(["b:1"], "chief", chief=["a:1"]), (["a:1", "b:1"], 0)),
    ],
)
def test_the_chief_is_the_first_worker(text, expected, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert read_tf_config() == expected
    assert has_cluster() == (len(expected[0]) > 1)


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
        assert stderr.startswith(
            "Error: The workers have different settings: steps is 4 on worker 0 and 5 "
            "on worker 1. Give all of them the same flags"
        )
    assert not (tmp_path / "r").exists()
