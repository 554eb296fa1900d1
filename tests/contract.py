"""The properties that every layer and every network must have."""

import dataclasses
import inspect
import json
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from tests.backends import MODES, POLICIES, array, compiled, dtype, gradients


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer or network, and what its tests expect of it.

    Attributes:
        make: Function that returns it unbuilt; its keyword argument is `dtype`.
        inputs: Its call arguments, arrays whose first axis is the batch.
        trainable: Number of trainable values, counted by hand.
        state: Number of the other values.
        no_gradient: Endings of the paths of variables whose gradient is zero.
        tolerance: Largest absolute error of its output in half precision.
        attention: Shapes of a network's attention maps, without the batch, by name.
    """

    make: Callable
    inputs: tuple[np.ndarray, ...]
    trainable: int
    state: int = 0
    no_gradient: tuple[str, ...] = ()
    tolerance: float = 0.03
    attention: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def build(self, **kwargs):
        """Returns it built, with random weights: none is 0 or equal to another."""
        layer = self.make(**kwargs)
        layer.build(*(x.shape for x in self.inputs))
        return randomize(layer)


def randomize(layer):
    random = np.random.default_rng(1)
    for variable in layer.variables:
        shape = variable.shape
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif variable.name == "kernel":
            variable.assign(random.normal(0, np.prod(shape[:-1]) ** -0.5, shape))
        elif variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(random.normal(0, 0.2, shape))
        else:  # u, tables
            variable.assign(random.normal(size=shape))
    return layer


def values(layer):
    """Returns the values of all variables by path."""
    return {variable.path: array(variable.value) for variable in layer.variables}


def changed(before, layer):
    """Returns the paths of the variables that are not as they were."""
    return {
        path for path, value in values(layer).items() if (value != before[path]).any()
    }


def count(variables):
    return sum(np.prod(variable.shape, dtype=int) for variable in variables)


class Contract:
    """The module of a subclass defines the fixtures `case` and `layer`, built."""

    def test_config_round_trip(self, case):
        layer = case.make()
        text = json.dumps(keras.saving.serialize_keras_object(layer))
        clone = keras.saving.deserialize_keras_object(json.loads(text))
        assert type(clone) is type(layer)
        assert clone.get_config() == layer.get_config()

    def test_has_the_expected_number_of_parameters(self, case):
        layer = case.make()
        layer.build(*(x.shape for x in case.inputs))
        assert count(layer.trainable_variables) == case.trainable
        assert count(layer.non_trainable_variables) == case.state
        paths = [variable.path for variable in layer.variables]
        assert len(set(paths)) == len(paths)
        layer(*case.inputs)
        assert len(layer.variables) == len(paths)

    def test_output_shapes_are_those_computed(self, case, layer):
        expected = layer.compute_output_shape(*(x.shape for x in case.inputs))
        assert tuple(layer(*case.inputs).shape) == tuple(expected)
        inputs = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in case.inputs]
        for each in (layer, case.make()):
            symbolic = each(*inputs)
            assert tuple(symbolic.shape) == (None, *expected[1:])
            assert dtype(symbolic) == "float32"

    @pytest.mark.parametrize("mode", MODES)
    def test_every_mode_agrees_and_state_advances_in_training_only(self, case, mode):
        layer, eager = case.build(), case.build()
        call = compiled(layer, mode)
        for training in (False, True):
            before = values(layer)
            outputs = array(call(*case.inputs, training=training))
            expected = array(eager(*case.inputs, training=training))
            np.testing.assert_allclose(outputs, expected, atol=1e-5)
            state = {v.path for v in layer.non_trainable_variables} if training else ()
            assert changed(before, layer) == set(state)
            for a, b in zip(layer.variables, eager.variables, strict=True):
                np.testing.assert_allclose(
                    array(a.value), array(b.value), rtol=1e-4, atol=1e-5, err_msg=a.path
                )

    def test_gradient_reaches_every_trainable_variable(self, case, layer):
        shape = layer.compute_output_shape(*(x.shape for x in case.inputs))
        weights = np.random.default_rng(0).normal(size=shape).astype("float32")

        def compute_loss():
            return ops.sum(layer(*case.inputs) * ops.convert_to_tensor(weights))

        variables = layer.trainable_variables
        found = [
            0.0 if gradient is None else np.abs(gradient).max()
            for gradient in gradients(compute_loss, variables)
        ]
        assert np.isfinite(found).all()
        missing = {
            variable.path
            for variable, size in zip(variables, found, strict=True)
            if size < 1e-6 * max(found)
        }
        endings = case.no_gradient
        assert missing == {v.path for v in variables if v.path.endswith(endings)}

    @pytest.mark.parametrize("policy", POLICIES)
    def test_precision(self, case, layer, policy):
        half = case.make(dtype=policy)
        half.build(*(x.shape for x in case.inputs))
        half.set_weights(layer.get_weights())
        outputs = half(*case.inputs)
        network = isinstance(layer, keras.Model)
        assert dtype(outputs) == ("float32" if network else half.compute_dtype)
        assert all(dtype(variable) == "float32" for variable in half.variables)
        error = np.abs(
            array(ops.cast(outputs, "float32")) - array(layer(*case.inputs))
        ).max()
        assert error == 0 if policy == "float32" else 0 < error < case.tolerance

    def test_saves_and_loads(self, case, layer, tmp_path):
        if isinstance(layer, keras.Model):
            model, inputs = layer, case.inputs
        else:
            tensors = [
                keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in case.inputs
            ]
            model, inputs = keras.Model(tensors, layer(*tensors)), (list(case.inputs),)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        same = loaded if model is layer else loaded.layers[-1]
        # JSON makes lists of tuples.
        configs = [json.dumps(each.get_config()) for each in (same, layer)]
        assert configs[0] == configs[1]
        np.testing.assert_array_equal(array(loaded(*inputs)), array(model(*inputs)))
        assert len(loaded.variables) == len(layer.variables)

    def test_an_output_does_not_depend_on_its_batch_mates(self, case, layer):
        together = array(layer(*case.inputs))
        for i, expected in enumerate(together):
            alone = array(layer(*(x[i : i + 1] for x in case.inputs)))
            np.testing.assert_allclose(alone[0], expected, atol=1e-5)


def find_constant_arguments(cases):
    """Returns the constructor arguments that are the same in all cases of a class.

    A constructor or `get_config` that ignored such an argument would not be noticed.
    """
    configs = {}
    for case in cases.values():
        layer = case.make()
        if "__init__" in vars(type(layer)):
            configs.setdefault(type(layer), []).append(layer.get_config())
    return [
        f"{layer_class.__name__}: {name}"
        for layer_class, found in configs.items()
        for name in list(inspect.signature(layer_class).parameters)[:-1]
        if len({repr(config[name]) for config in found}) == 1
    ]
