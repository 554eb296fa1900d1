import importlib.util
import os
import subprocess
import sys

import pytest

from tests.backends import BACKEND
from tests.contract import Contract, find_constant_arguments
from tests.layers.cases import CASES, REFUSED


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def layer(case):
    return case.build()


class TestLayers(Contract):
    pass


@pytest.mark.skipif(BACKEND != "tensorflow", reason="`synchronized` needs TensorFlow")
def test_the_cases_of_a_class_differ_in_every_argument():
    assert find_constant_arguments(CASES) == []


@pytest.mark.parametrize(("mistake", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_refuses_mistakes(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


def test_layers_and_networks_do_not_import_tensorflow():
    backend = "torch" if BACKEND == "tensorflow" else BACKEND
    if importlib.util.find_spec(backend) is None:
        pytest.skip("Keras needs a second backend, PyTorch, for this test")
    script = (
        "import sys, sagan_tf.losses, sagan_tf.models\n"
        "from sagan_tf.layers import SelfAttention\n"
        "from sagan_tf import GeneratorBlock, ResNetGenerator\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
