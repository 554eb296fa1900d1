"""What the workers of a cluster exchange in a step, and how long they wait for it.

Starts workers on this machine and prints one JSON line:

    python benchmarks/collectives.py --config=celeb_a --batch_size=8 --workers=2

Bytes are counted by the kernel on the loopback interface (Linux), so nothing else may
use it. The time is that of the all-reduce operations in TensorFlow's profile, with the
wait for a slower worker. On one machine the workers share its cores: its times can only
be compared with one another.
"""

import argparse
import glob
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits", help="preset")
    parser.add_argument("--batch_size", type=measuring.positive, help="global batch")
    parser.add_argument("--workers", type=measuring.positive, default=2)
    parser.add_argument("--steps", type=measuring.positive, default=5)
    parser.add_argument("--synchronized_batch_norm", action="store_true")
    arguments = parser.parse_args()
    if "TF_CONFIG" in os.environ:
        measure(arguments)
    else:
        start_workers(arguments.workers)


def describe_cluster(number):
    """Returns the environment of each worker of a cluster on free ports."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": index} for index in range(number)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks
    ]


def start_workers(number):
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.collectives", *sys.argv[1:]],
            env={**os.environ, **environment},
            stdout=None if index == 0 else subprocess.DEVNULL,
        )
        for index, environment in enumerate(describe_cluster(number))
    ]
    sys.exit(max(worker.wait() for worker in workers))


def measure(arguments):
    start_tensorflow()
    import dataclasses

    import numpy as np
    import tensorflow as tf

    from sagan_tf import load_preset
    from sagan_tf.models.builders import build_sagan
    from sagan_tf.training.distribution import make_distribution
    from sagan_tf.training.loop import make_execution

    tf.config.experimental.enable_op_determinism()
    distribution = make_distribution("multi_worker")
    config = load_preset(arguments.config)
    config = dataclasses.replace(
        config,
        batch_size=arguments.batch_size or config.batch_size,
        synchronized_batch_norm=arguments.synchronized_batch_norm,
        classes=("one", "two") if config.conditional else (),
    )
    with distribution.strategy.scope():
        model = build_sagan(config)

    def make_data(num_replicas, _):
        size = config.batch_size * config.discriminator_steps // num_replicas
        shape = (size, config.image_size, config.image_size, config.channels)
        images = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        labels = np.zeros(size, "int32")
        batch = (images, labels) if config.conditional else images
        return tf.data.Dataset.from_tensors(batch).repeat()

    iterator = iter(distribution.distribute(make_data))
    execute = make_execution(model, distribution.strategy, 1)

    def run(steps):
        begin, sent = time.perf_counter(), read_sent_bytes()
        for _ in range(steps):
            logs = execute(iterator, tf.constant(1))
        float(logs["generator_loss"])
        distribution.any(False)  # the others have ended these steps as well
        return time.perf_counter() - begin, read_sent_bytes() - sent

    run(2)  # traced and warm
    seconds, sent = run(arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run(arguments.steps)
        waited = read_collective_seconds(folder)
    networks = (model.generator, model.discriminator)
    weights = [sum(np.prod(w.shape) for w in n.trainable_weights) for n in networks]
    result = {
        "config": arguments.config,
        "batch_size": config.batch_size,
        "synchronized_batch_norm": config.synchronized_batch_norm,
        "workers": distribution.num_workers,
        "generator_weights": int(weights[0]),
        "discriminator_weights": int(weights[1]),
        "seconds_per_step": round(seconds / arguments.steps, 4),
        "seconds_in_collectives_per_step": round(waited / arguments.steps, 4),
        # All workers share the interface.
        "mib_sent_per_worker_and_step": round(
            sent / arguments.steps / distribution.num_workers / 2**20, 2
        ),
    }
    if distribution.is_chief:
        print(json.dumps(result), flush=True)


def read_sent_bytes():
    """Returns how many bytes the loopback interface has sent."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[8])
    raise OSError("there is no loopback interface")


def read_collective_seconds(folder):
    """Returns the time in which an all-reduce was under way, of a profile."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    space = xplane_pb2.XSpace.FromString(Path(path).read_bytes())
    spans = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if "CollectiveReduce" in name:
                    begin = line.timestamp_ns * 1000 + event.offset_ps
                    spans.append((begin, begin + event.duration_ps))
    total, end = 0, 0
    for first, last in sorted(spans):  # several may be under way at once
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total / 1e12


if __name__ == "__main__":
    measuring.run_main(main)
