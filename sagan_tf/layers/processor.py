import keras


def is_cpu() -> bool:
    """Returns whether TensorFlow runs without an accelerator.

    The same result can be computed in several ways, and which is the fastest depends on
    the processor. TensorFlow's on CPUs were measured, and JAX' on a GPU.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    return all(name.startswith("cpu") for name in keras.distribution.list_devices())
