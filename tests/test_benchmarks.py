"""The benchmarks run, and what they measure is plausible."""

import json

import pytest

from tests.processes import call


def measure(*arguments):
    """Returns the JSON line with which a benchmark ends."""
    code, stdout, stderr = call(*arguments)
    assert code == 0, stderr
    return json.loads(stdout.splitlines()[-1])


@pytest.mark.exhaustive
def test_train_step():
    flags = ("--width=8", "--batch_size=8", "--repeats=3")
    found = measure("benchmarks/train_step.py", "--config=configs/digits.py", *flags)
    for name in ("seconds_per_step", "images_per_second", "gflop_per_step"):
        assert found[name] > 0
    assert 0 < found["share_of_ceiling"] < 2
    assert 0.1 < found["peak_memory_gib"] < 4
    assert found["machine"]["cores"] > 0
    # Twice as many images are twice the work, but for what the weights need.
    flags = ("--width=8", "--batch_size=16", "--repeats=3")
    twice = measure("benchmarks/train_step.py", "--config=configs/digits.py", *flags)
    assert 1.8 < twice["gflop_per_step"] / found["gflop_per_step"] <= 2


def test_train_step_refuses_what_training_refuses():
    code, _, stderr = call("benchmarks/train_step.py", "--config=configs/none.py")
    assert code == 1
    assert stderr.startswith("Error: There is no config file configs/none.py")


@pytest.mark.exhaustive
def test_the_memory_of_attention_in_chunks():
    """The scores of a step would take 4 GiB; ten times as many do not fit at all."""
    flags = ("--pool_sizes=1", "--chunk_sizes=auto", "--repeats=2")
    (case,) = measure("benchmarks/attention.py", "--sizes=64", *flags)["cases"]
    # The inputs, their gradient and the values take 48 MiB.
    assert 0.04 < case["memory_gib"] < 1


@pytest.mark.exhaustive
def test_sampling():
    found = measure("benchmarks/sampling.py", "--num_images=256", "--repeats=1")
    assert 0.5 < found["times_the_generator"] < 10


@pytest.mark.exhaustive
def test_scaling():
    flags = ("--sizes=32", "--widths=4,8", "--config=digits", "--batch_size=4")
    narrow, wide = measure("benchmarks/scaling.py", *flags)["rows"]
    assert (narrow["width"], wide["width"]) == (4, 8)
    assert 2 < wide["gflop_per_step"] / narrow["gflop_per_step"] < 4


@pytest.mark.exhaustive
def test_kernel_gradient():
    flags = ("--precision=mixed_bfloat16", "--repeats=1")
    cases = measure("benchmarks/kernel_gradient.py", *flags)["cases"]
    assert all(case["tensorflow"] > 0 and case["products"] > 0 for case in cases)


@pytest.mark.exhaustive
def test_exports():
    pytest.importorskip("tf2onnx")
    flags = ("--workdirs=pretrained/digits", "--batch_size=4", "--repeats=1")
    rows = {
        row["format"]: row for row in measure("benchmarks/exports.py", *flags)["rows"]
    }
    # int8 rounds kernels to 127 levels; the others compute in float32.
    assert 1e-4 < rows.pop("LiteRT int8")["largest_difference"] < 1
    assert rows.pop("LiteRT float16")["largest_difference"] < 0.02
    assert max(row["largest_difference"] for row in rows.values()) < 1e-4
    assert rows["LiteRT float32"]["megabytes"] == pytest.approx(
        rows["ONNX"]["megabytes"], rel=0.1
    )


@pytest.mark.exhaustive
def test_startup():
    seconds = measure("benchmarks/startup.py", "--repeats=1")["seconds"]
    # Single times, while other tests run: the closer pairs may change places.
    assert max(seconds["help"], seconds["import_tensorflow"]) < seconds["first_step"]
