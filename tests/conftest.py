import keras
import pytest
import tensorflow as tf

from tests.processes import TINY, call

# Two logical devices, for what is distributed; all else runs on the first.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def two_devices():
    """One strategy for all tests: a second one in a process clashes with the first."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """A run of twelve steps that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("run")
    code, stdout, stderr = call("train.py", f"--workdir={workdir}", *TINY)
    assert code == 0, stderr
    assert "SavedModel:" in stdout
    return workdir
