import shutil

import keras
import pytest

pytest.register_assert_rewrite("tests.comparison", "tests.contract")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Two logical devices for the distributed tests; all others run on the first.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """What is exhaustive is slow too."""
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def global_state():
    """Each test starts from the same random seed and without deterministic ops."""
    keras.utils.set_random_seed(0)
    yield
    if keras.backend.backend() == "tensorflow":
        # Training enables them for good, and no public function disables them.
        from tensorflow.python.framework.config import disable_op_determinism

        disable_op_determinism()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What tests cache is not found by the user's commands, nor the reverse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGAN_TF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def two_devices():
    """One strategy for all tests: a second one in a process clashes with the first."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute needs the TensorFlow backend")
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window, which records its requests and errors."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1000,900"):
        options.add_argument(argument)
    options.set_capability(
        "goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"}
    )
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """The directory of an uninterrupted run of twelve steps."""
    from tests.processes import TINY, call

    workdir = tmp_path_factory.mktemp("run")
    code, stdout, stderr = call("train.py", f"--workdir={workdir}", *TINY)
    assert code == 0, stderr
    assert "SavedModel:" in stdout
    return workdir
