"""What a run would train, and how much memory it would need."""

import math
from typing import Any

import keras

from sagan_tf.config import Config, check_decay
from sagan_tf.data import with_classes
from sagan_tf.data.prepared import LoadedData
from sagan_tf.data.preprocessing import describe_crop
from sagan_tf.data.sources import TFDS, open_source
from sagan_tf.models.builders import build_sagan
from sagan_tf.models.sagan import SAGAN
from sagan_tf.text import count
from sagan_tf.training.distribution import Distribution, describe_devices


def print_summary(config: Config) -> None:
    """Prints what a run of `config` would train, and trains nothing.

    It prints the settings, the parameters of each layer, the shape of a batch and an
    estimate of the memory that training takes.

    Raises:
        UserError: if they cannot be trained.
    """
    check_decay(config)
    config = with_classes(config, download=False)
    model, data = build_sagan(config), _describe_data(config)
    print(f"Settings\n{config.to_json()}")
    print(f"Data: {data}\n")
    for network in (model.generator, model.discriminator):
        _print_parameters(network)
    size = config.image_size
    per_step = config.batch_size * config.discriminator_steps
    print(f"Real images per step: [{per_step}, {size}, {size}, {config.channels}]\n")
    _print_memory(model, config)


def _describe_data(config: Config) -> str:
    """Returns how many pictures there are, without decoding one."""
    source = open_source(config, download=False)
    if isinstance(source, TFDS) and not source.is_prepared():
        return f"{source.description}, which training downloads"
    return f"{count(source.pictures()[0], 'picture')} of {source.description}"


def _print_parameters(network: Any) -> None:
    print(f"{network.name.capitalize()}: trainable parameters by layer")
    for layer in network.layers:
        count = _count_values(layer.trainable_weights)
        if count:
            print(f"  {layer.name:<28}{count:>14,}")
    print(f"  {'total':<28}{_count_values(network.trainable_weights):>14,}\n")


def print_start(
    model: SAGAN, config: Config, distribution: Distribution, data: LoadedData
) -> None:
    """Prints what training runs on, and with which data and settings."""
    replicas, workers = distribution.num_replicas, distribution.num_workers
    devices = describe_devices(distribution.name)
    if distribution.name != "none":
        devices = f"{count(replicas, 'replica')} ({distribution.name}) on {devices}"
    if workers > 1:
        devices += f" and {count(workers - 1, 'other worker')}"
    batch = f"{config.batch_size:,} images"
    if replicas > 1:
        batch += f", {config.batch_size // replicas:,} per replica"
    if config.accumulation_steps > 1:
        batch += f", in {config.accumulation_steps} micro-batches"
    is_exact = config.deterministic and not config.jit_compile
    memory = sum(_estimate_memory(model, config, replicas).values())
    where = f", prepared in {data.path}" if data.path else ""
    print(f"Data:       {data.summary()}{describe_crop(config.crop_size)}{where}")
    print(f"Devices:    {devices}")
    print(f"Batch:      {batch}")
    penalty = f" and {config.gradient_penalty}" if config.gradient_penalty else ""
    print(
        f"Training:   {config.loss} loss{penalty}, learning rates "
        f"{config.generator_learning_rate:g} (G) and "
        f"{config.discriminator_learning_rate:g} (D), seed {config.seed}"
    )
    print(
        f"Computing:  {config.precision}, XLA {'on' if config.jit_compile else 'off'}, "
        f"{'' if is_exact else 'not '}deterministic"
    )
    print(f"Memory:     about {memory / 2**20:,.0f} MiB per device, estimated")


def _print_memory(model: SAGAN, config: Config) -> None:
    """Prints the parts of the estimate, and what images add."""
    parts = _estimate_memory(model, config)
    size = config.image_size
    print("Memory, estimated, besides about 0.5 GiB of TensorFlow itself")
    for name, number in (
        *parts.items(),
        ("total", sum(parts.values())),
        ("plus, per 10,000 real images", 10_000 * size**2 * config.channels),
    ):
        print(f"  {name:<36}{number / 2**20:>10,.0f} MiB")


def _estimate_memory(
    model: SAGAN, config: Config, num_replicas: int = 1
) -> dict[str, float]:
    """Returns the bytes per device of persistent state and of one step's activations.

    Each weight is stored with its gradient and Adam's two moments, the generator's also
    with its EMA. Memory peaks in the generator's update: backpropagation keeps the
    outputs of all layers of both networks, and needs as much again for gradients and
    copies.
    """
    weights = _count_values(model.generator.weights + model.discriminator.weights)
    state = 4 * (4 * weights + _count_values(model.ema_generator.weights))
    compute_dtype = keras.DTypePolicy(config.precision).compute_dtype
    bytes_per_value = 4 if compute_dtype == "float32" else 2
    size, channels = config.image_size, config.channels
    batch = config.batch_size // config.accumulation_steps // num_replicas
    values, scores = (
        sum(counts)
        for counts in zip(
            model.generator.count_activations((batch, config.latent_dim)),
            model.discriminator.count_activations((batch, size, size, channels)),
            strict=True,
        )
    )
    activations = 2 * values * bytes_per_value
    # Logits and scores in float32 forward, and the scores' gradient.
    maps = 3 * scores * 4
    return {
        "weights, gradients, Adam, EMA": state,
        "activations of a step": activations,
        "attention maps of a step": maps,
    }


def _count_values(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
