"""What differs between the Keras backends: compiled calls and gradients."""

import contextlib
import functools

import keras
from keras.ops import convert_to_numpy as array

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ("eager", "graph", "xla"),
    "jax": ("eager", "xla"),
    "torch": ("eager",),
}[BACKEND]
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def double_precision():
    """Returns a context in which the backend has float64: JAX rounds to float32."""
    if BACKEND != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


def compiled(layer, mode):
    """Returns a function that calls a layer in a mode and keeps its state updates."""
    if mode == "eager":
        return layer.__call__
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(layer.__call__, jit_compile=mode == "xla")
    import jax

    @functools.partial(jax.jit, static_argnames="training")
    def call(values, *inputs, training):
        with keras.StatelessScope(zip(layer.variables, values, strict=True)):
            outputs = layer(*inputs, training=training)
            return outputs, [variable.value for variable in layer.variables]

    def call_and_update(*inputs, training=False):
        values = [variable.value for variable in layer.variables]
        outputs, values = call(values, *inputs, training=training)
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
        return outputs

    return call_and_update


def gradients(compute_loss, variables, mode="eager"):
    """Returns the gradients of `compute_loss()` as arrays, None where there is none."""
    values = [variable.value for variable in variables]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def differentiate():
            with tf.GradientTape() as tape:
                loss = compute_loss()
            return tape.gradient(loss, values)

        if mode != "eager":
            differentiate = tf.function(differentiate, jit_compile=mode == "xla")
        # Those of tables are IndexedSlices.
        results = [g if g is None else tf.convert_to_tensor(g) for g in differentiate()]
    elif BACKEND == "jax":
        import jax

        def loss(values):
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return compute_loss()

        results = (jax.grad(loss) if mode == "eager" else jax.jit(jax.grad(loss)))(
            values
        )
    else:
        import torch

        results = torch.autograd.grad(compute_loss(), values, allow_unused=True)
    return [result if result is None else array(result) for result in results]


def penalty_gradients(compute_loss, inputs, variables, mode="eager"):
    """Returns the gradients of a gradient penalty as arrays: second derivatives.

    The penalty is the sum of squares of the gradient of `compute_loss(inputs)` by its
    inputs.
    """
    values = [variable.value for variable in variables]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def differentiate(inputs):
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    loss = compute_loss(inputs)
                penalty = tf.reduce_sum(inner.gradient(loss, inputs) ** 2)
            return outer.gradient(penalty, values)

        if mode != "eager":
            differentiate = tf.function(differentiate, jit_compile=mode == "xla")
        results = differentiate(tf.constant(inputs))
    elif BACKEND == "jax":
        import jax

        def loss(inputs, values):
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return compute_loss(inputs)

        def penalty(values):
            return (jax.grad(loss)(inputs, values) ** 2).sum()

        differentiate = jax.grad(penalty)
        results = (differentiate if mode == "eager" else jax.jit(differentiate))(values)
    else:
        import torch

        inputs = torch.tensor(inputs, requires_grad=True)
        (own,) = torch.autograd.grad(compute_loss(inputs), inputs, create_graph=True)
        results = torch.autograd.grad((own**2).sum(), values)
    return [array(result) for result in results]
