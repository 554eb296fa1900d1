import keras


def is_cpu() -> bool:
    """Returns whether there is no accelerator, so that layers run on the CPU.

    The same result can be computed in several ways, and which is the fastest depends on
    the processor.
    """
    if keras.backend.backend() == "torch":
        return False  # Keras does not know its devices
    return all(name.startswith("cpu") for name in keras.distribution.list_devices())
