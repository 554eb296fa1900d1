import keras
import pytest
import tensorflow as tf

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
