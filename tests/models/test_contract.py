import numpy as np
import pytest

from sagan_tf.layers import SelfAttention
from tests.backends import BACKEND, MODES, array
from tests.contract import Contract, find_constant_arguments
from tests.models.cases import CASES, NETWORKS, REFUSED, REFUSED_BY_ONE


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def layer(case):
    return case.build()


# Tracing or compiling a whole network takes long.
NETWORK_MODES = [
    pytest.param(mode, marks=pytest.mark.slow) if mode != "eager" else mode
    for mode in MODES
]


class TestNetworks(Contract):
    @pytest.mark.parametrize("mode", NETWORK_MODES)
    def test_every_mode_agrees_and_state_advances_in_training_only(self, case, mode):
        super().test_every_mode_agrees_and_state_advances_in_training_only(case, mode)

    def test_attention_maps(self, case, layer):
        outputs, scores = layer(*case.inputs, return_attention_scores=True)
        np.testing.assert_allclose(array(outputs), array(layer(*case.inputs)))
        shapes = {name: tuple(maps.shape)[1:] for name, maps in scores.items()}
        assert shapes == case.attention
        for maps in scores.values():
            np.testing.assert_allclose(array(maps).sum(axis=-1), 1, atol=1e-5)

    def test_walk_runs_the_same_layers(self, case, layer):
        _, scores = layer(*case.inputs, return_attention_scores=True)
        steps = list(layer.walk(*case.inputs))
        assert [step[0] for step in steps] == list(layer.stack)
        walked = {step[0].name: step[3] for step in steps if step[3] is not None}
        assert walked.keys() == scores.keys()
        for name, maps in walked.items():
            np.testing.assert_allclose(array(maps), array(scores[name]), atol=1e-6)
        for before, after in zip(steps, steps[1:], strict=False):
            assert after[1] is before[2]

    def test_only_asked_scores_are_computed(self, case, layer, monkeypatch):
        """Otherwise large maps could not be attended in chunks."""
        monkeypatch.setattr(SelfAttention, "attend", lambda *args: 1 / 0)
        for part in layer.stack:
            if isinstance(part, SelfAttention):
                monkeypatch.setattr(part, "chunk_size", 4)
                monkeypatch.setattr(part, "normalize_over", "keys")
        layer(*case.inputs)
        if case.attention:
            with pytest.raises(ZeroDivisionError):
                layer(*case.inputs, return_attention_scores=True)

    def test_labels_are_checked(self, case, layer):
        inputs, *labels = case.inputs
        if labels:
            with pytest.raises(ValueError, match="needs `labels`"):
                layer(inputs)
            # [batch, 1] would be broadcast against [batch, features].
            with pytest.raises(ValueError, match=r"of shape \[batch\]. Received.*3, 1"):
                layer(inputs, np.zeros((3, 1), np.int32))
        else:
            with pytest.raises(ValueError, match="takes no `labels`"):
                layer(inputs, np.zeros(3, np.int32))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="`synchronized` needs TensorFlow")
def test_the_cases_of_a_class_differ_in_every_argument():
    assert find_constant_arguments(CASES) == []


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_networks_refuse_mistakes(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)


@pytest.mark.parametrize(("network", "arguments", "message"), REFUSED_BY_ONE)
def test_a_network_refuses_mistakes(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)
