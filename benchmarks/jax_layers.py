"""Layers and networks under JAX, forward and backward: time, and temporary memory.

    KERAS_BACKEND=jax python benchmarks/jax_layers.py --precision=mixed_bfloat16

It needs no TensorFlow. On a GPU the convolutions with resampling are compared with
each other although only a CPU chooses between them. Prints one JSON line last.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CALLS = 10  # between two readings of the clock


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    precisions = ("float32", "mixed_bfloat16")
    parser.add_argument("--precision", choices=precisions, default="float32")
    parser.add_argument("--small", action="store_true", help="small maps, to try it")
    arguments = parser.parse_args()
    import jax
    import keras

    if keras.backend.backend() != "jax":
        sys.exit("Error: set KERAS_BACKEND=jax")
    keras.config.set_dtype_policy(arguments.precision)
    rows = []
    for name, layer, shape in make_cases(arguments.small):
        rows.append({"case": name, **measure(layer, shape)})
        print(rows[-1], flush=True)
    device = jax.devices()[0].device_kind
    print(json.dumps({"device": device, **vars(arguments), "rows": rows}))


def make_cases(small):
    """Yields names, layers or networks, and shapes of their inputs."""
    from sagan_tf.layers import SelfAttention
    from sagan_tf.layers.pooling_conv2d import PoolingConv2D
    from sagan_tf.layers.upsampling_conv2d import UpsamplingConv2D
    from sagan_tf.models.dcgan import DCGANDiscriminator, DCGANGenerator

    batch = 2 if small else 16
    for size in (16,) if small else (64, 128):
        for pool_size in (2, 1):
            for chunk_size in (None, "auto"):
                layer = SelfAttention(pool_size=pool_size, chunk_size=chunk_size)
                name = f"attention {size}x{size}, pool {pool_size}, {chunk_size}"
                yield name, layer, (batch, size, size, 64)
    maps = ((4, 1024), (8, 512), (16, 256), (32, 128), (64, 64))
    for size, channels in ((8, 16),) if small else maps:
        for base in (UpsamplingConv2D, PoolingConv2D):
            for is_fused in (True, False):
                form = "one convolution" if is_fused else "two operations"
                layer = _force(base, is_fused)(channels // 2, 3)
                name = f"{base.__name__} {size}x{size}x{channels}, {form}"
                yield name, layer, (2 if small else 64, size, size, channels)
    for network in (DCGANGenerator(), DCGANDiscriminator()):
        shape = (64, 128) if "generator" in network.name else (64, 64, 64, 3)
        yield network.name, network, (2, *shape[1:]) if small else shape


def _force(base, fused):
    class Layer(base):
        def is_fused(self, smaller_map):
            return fused

    return Layer


def measure(layer, shape):
    """Returns the milliseconds and the GiB of the gradient of a mean square."""
    import jax
    import jax.numpy as jnp
    import keras

    # Only layers within a model follow their own dtype policy.
    model = layer if isinstance(layer, keras.Model) else keras.Sequential([layer])
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), "float32")
    model(x)
    weights = [variable.value for variable in model.trainable_variables]
    state = [variable.value for variable in model.non_trainable_variables]

    def compute_loss(weights, x):
        outputs, _ = model.stateless_call(weights, state, x, training=True)
        return (outputs.astype("float32") ** 2).mean()

    gradient = jax.jit(jax.value_and_grad(compute_loss, argnums=(0, 1)))
    try:
        compiled = gradient.lower(weights, x).compile()
        jax.block_until_ready(compiled(weights, x))
    except jax.errors.JaxRuntimeError as error:
        return {"failed": str(error).splitlines()[0][:80]}
    milliseconds = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(CALLS):
            result = compiled(weights, x)
        jax.block_until_ready(result)
        milliseconds.append(1e3 * (time.perf_counter() - begin) / CALLS)
    memory = compiled.memory_analysis().temp_size_in_bytes / 2**30
    return {
        "milliseconds": round(statistics.median(milliseconds), 3),
        "gib": round(memory, 3),
    }


if __name__ == "__main__":
    main()
