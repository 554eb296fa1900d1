import math

import keras

from sagan_tf.data import with_classes
from sagan_tf.layers import DiscriminatorBlock, GeneratorBlock, SelfAttention
from sagan_tf.models.builders import build_sagan


def print_summary(config):
    """Prints what a run of `config` would train, and trains nothing.

    The settings, the parameters of each layer, the shape of a batch, and an
    estimate of the memory that training takes.

    Raises:
        UserError: if the networks cannot have these settings.
    """
    config = with_classes(config, download=False)
    model = build_sagan(config)
    print(f"Settings\n{config.to_json()}")
    for network in (model.generator, model.discriminator):
        _print_parameters(network)
    size = config.image_size
    per_step = config.batch_size * config.discriminator_steps
    print(f"Real images a step: [{per_step}, {size}, {size}, {config.channels}]\n")
    _print_memory(model, config)


def _print_parameters(network):
    print(f"{network.name.capitalize()}: trainable parameters by layer")
    for layer in network.layers:
        count = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        if count:
            print(f"  {layer.name:<28}{count:>14,}")
    total = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    print(f"  {'in all':<28}{total:>14,}\n")


def _print_memory(model, config):
    """Prints the parts of the estimate: what is kept, and a step's activations.

    Each weight is kept with its gradient and Adam's two moments, and the
    generator's with its average. The largest moment of a step is the generator's
    update, when every layer's output in both networks, and as much again in
    gradients and copies, waits for the way back.
    """
    networks = (model.generator, model.discriminator)
    weights = sum(math.prod(w.shape) for net in networks for w in net.weights)
    averages = sum(math.prod(w.shape) for w in model.ema_generator.weights)
    kept = 4 * (4 * weights + averages)
    bytes_each = (
        2 if keras.DTypePolicy(config.precision).compute_dtype != "float32" else 4
    )
    values, scores = 0, 0
    shape = (1, config.latent_dim)
    for network in networks:
        for layer in network.stack:
            values += _count_inner_values(layer, shape)
            shape = layer.compute_output_shape(shape)
            values += math.prod(shape)
            if isinstance(layer, SelfAttention):
                scores += math.prod(layer.compute_scores_shape(shape))
        shape = (1, config.image_size, config.image_size, config.channels)
    at_once = config.batch_size // config.accumulation_steps
    activations = 2 * at_once * values * bytes_each
    # Logits, and scores in float32 on the way there and back.
    maps = 3 * at_once * scores * 4
    image = config.image_size**2 * config.channels
    print("Memory, estimated, besides about 0.5 GiB of TensorFlow itself")
    for name, size in (
        ("weights, gradients, Adam, average", kept),
        ("activations of a step", activations),
        ("attention maps of a step", maps),
        ("in all", kept + activations + maps),
        ("and each 10,000 real images", 10_000 * image),
    ):
        print(f"  {name:<36}{size / 2**20:>10,.0f} MiB")


def _count_inner_values(layer, inputs_shape):
    """How many values a residual block keeps for the way back, but for its output."""
    _, height, width, channels = (*inputs_shape, 0, 0)[:4]
    if isinstance(layer, GeneratorBlock):
        # Normalized and ReLU; four times as large the two upsampled inputs, and five
        # maps of the outputs' channels.
        return height * width * (2 * channels + 4 * (2 * channels + 5 * layer.filters))
    if isinstance(layer, DiscriminatorBlock):
        return height * width * (channels + 4 * layer.filters)
    return 0
