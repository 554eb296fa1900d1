import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import (
    SAGAN,
    DCGANDiscriminator,
    DCGANGenerator,
    SpectralNormalization,
)
from sagan_tf.losses import LOSSES, AdversarialLoss
from sagan_tf.models import (
    InfoGANDiscriminator,
    InfoGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from sagan_tf.sampling import Sampler

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]


def make(policy="float32", optimizer=None, **compile_arguments):
    settings = {
        "image_size": 32,
        "channels": 1,
        "width": 8,
        "attention_resolutions": (8,),
        "dtype": policy,
    }
    model = SAGAN(DCGANGenerator(**settings), DCGANDiscriminator(**settings), seed=3)
    optimizer = optimizer or (lambda: keras.optimizers.Adam(1e-3, 0.0, 0.9))
    model.compile(optimizer(), optimizer(), **compile_arguments)
    return model


def real_images(steps=1, batch_size=4):
    return np.random.default_rng(5).uniform(-1, 1, (steps, batch_size, 32, 32, 1))


def samples(model):
    return Sampler(model.ema_generator).generate(3)


def converge(model):
    """Sets every u to the first singular vector, where power iteration ends."""
    for network in (model.generator, model.discriminator):
        for layer in network._flatten_layers():
            if isinstance(layer, SpectralNormalization):
                kernel = np.moveaxis(layer.kernel.numpy(), layer._row_axis(), -1)
                matrix = kernel.reshape(-1, kernel.shape[-1]).astype("float64")
                layer.u.assign(np.linalg.svd(matrix, full_matrices=False)[2][0])


def train(model, batches):
    dataset = tf.data.Dataset.from_tensor_slices(batches.astype("float32"))
    model.fit(dataset, steps_per_epoch=len(batches), verbose=0, shuffle=False)


def values(network):
    """Returns the values of all variables by number and path."""
    return {f"{i} {w.path}": w.numpy() for i, w in enumerate(network.variables)}


def changed(before, network):
    after = values(network)
    return {name for name in before if (before[name] != after[name]).any()}


def trained(network_values):
    """Returns the names of all variables that an update changes.

    The keys' bias adds the same to all logits of a query and has no gradient.
    """
    return {name for name in network_values if not name.endswith("/key/bias")}


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("policy", POLICIES)
def test_each_update_changes_one_network_only(policy, jit_compile):
    # Under the hinge loss the last bias of the discriminator has no gradient while all
    # logits are within the margins.
    model = make(policy, loss="lsgan")
    for network in (model.generator, model.discriminator):
        # At 0 the rest of the layer would have no gradient.
        network.get_layer("attention_8x8").gamma.assign(0.5)
    if model.scales_loss:  # at the initial scale these updates are skipped
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.dynamic_scale.assign(1.0)
    discriminator, generator = values(model.discriminator), values(model.generator)
    real = tf.constant(real_images()[0], "float32")
    tf.function(model._train_generator, jit_compile=jit_compile)(real)
    assert changed(discriminator, model.discriminator) == set()
    assert changed(generator, model.generator) >= trained(generator)

    generator = values(model.generator)
    update = tf.function(model._train_discriminator, jit_compile=jit_compile)
    update(real, update=0)
    assert changed(discriminator, model.discriminator) >= trained(discriminator)
    # Generated in training mode: batch statistics and u change, and nothing else.
    state = {name for name in generator if "/moving_" in name or "/u" in name}
    assert changed(generator, model.generator) == state


def test_losses_are_those_of_the_networks_before_the_update():
    model = make(optimizer=lambda: keras.optimizers.SGD(0.0))
    real = real_images()[0].astype("float32")
    converge(model)  # at learning rate 0 nothing else changes
    first, second = model._draw_latents(4, 0), model._draw_latents(4, 1)
    fake_logits = model.discriminator(model.generator(first, training=True)).numpy()
    real_logits = model.discriminator(real).numpy()
    expected = {
        "discriminator_loss": np.maximum(1 - real_logits, 0).mean()
        + np.maximum(1 + fake_logits, 0).mean(),
        "generator_loss": -np.mean(
            model.discriminator(model.generator(second, training=True))
        ),
        "real_logits": real_logits.mean(),
        "fake_logits": fake_logits.mean(),
    }
    actual = model.train_step(tf.constant(real))
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=1e-5, err_msg=name)


def test_ema_equals_its_definition():
    model = make(ema_decay=0.3, run_eagerly=True)
    names = [w.path for w in model.ema_generator.variables]
    assert any("moving_variance" in name for name in names)
    expected = [w.numpy().astype("float64") for w in model.generator.variables]
    for step in range(4):
        train(model, real_images())
        decay = min(0.3, (1 + step) / (10 + step))  # 0.1, 0.18, 0.25, 0.3
        expected = [
            decay * ema + (1 - decay) * w.numpy()
            for ema, w in zip(expected, model.generator.variables, strict=True)
        ]
    for value, variable in zip(expected, model.ema_generator.variables, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-6, err_msg=variable.path)


def test_latents_are_a_function_of_seed_step_and_update():
    model, same = make(), make()
    draws = {}
    for step in range(3):
        model.step.assign(step)
        same.step.assign(step)
        for update in range(2):
            draws[step, update] = model._draw_latents(64, update).numpy()
            np.testing.assert_array_equal(
                same._draw_latents(64, update), draws[step, update]
            )
    same.seed = 4
    draws["other seed"] = same._draw_latents(64, 0).numpy()
    together = np.stack(list(draws.values())).reshape(len(draws), -1)
    np.testing.assert_allclose(np.corrcoef(together), np.eye(len(draws)), atol=0.06)
    np.testing.assert_allclose(together.std(axis=1), 1, atol=0.03)


def test_uniform_latents():
    settings = {"image_size": 32, "width": 8, "attention_resolutions": ()}
    model = SAGAN(
        DCGANGenerator(**settings),
        DCGANDiscriminator(**settings),
        latent_distribution="uniform",
    )
    sampler = Sampler(model.generator, "uniform")
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    for latents in (model._draw_latents(64, 0), sampler.latents(64)):
        assert -1 <= np.min(latents) < -0.99 and 0.99 < np.max(latents) < 1
        assert np.mean(latents) == pytest.approx(0, abs=0.03)
        assert np.var(latents) == pytest.approx(1 / 3, abs=0.01)
    with pytest.raises(ValueError, match="latent_distribution=gaussian"):
        SAGAN(model.generator, model.discriminator, latent_distribution="gaussian")


def test_every_discriminator_update_has_its_own_real_batch(monkeypatch):
    model = make(discriminator_steps=3, run_eagerly=True)
    seen = []
    train_discriminator = model._train_discriminator

    def see(images, update):
        seen.append((update, images.numpy()))
        return train_discriminator(images, update=update)

    monkeypatch.setattr(model, "_train_discriminator", see)
    batch = real_images(batch_size=12)
    train(model, batch)
    assert [number for number, _ in seen] == [0, 1, 2]
    np.testing.assert_array_equal(
        np.concatenate([images for _, images in seen]), batch[0].astype("float32")
    )
    assert model.discriminator_optimizer.iterations.numpy() == 3
    assert model.generator_optimizer.iterations.numpy() == 1
    assert model.step.numpy() == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_trains_with_every_loss(loss):
    model = make(loss=loss, run_eagerly=True)
    before = values(model.generator)
    train(model, real_images())
    assert changed(before, model.generator) >= {
        name for name in before if "/sn_" in name or "/bn_" in name
    }


@pytest.mark.parametrize(
    "policy",
    [
        "float32",
        *(
            pytest.param(policy, marks=pytest.mark.exhaustive)
            for policy in POLICIES[1:]
        ),
    ],
)
def test_resumes_exactly_from_a_keras_file(policy, tmp_path):
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    batches = real_images(4)
    model = make(policy, loss="lsgan", discriminator_steps=2, ema_decay=0.9)
    train(model, batches[:2])
    model.save(tmp_path / "model.keras")
    train(model, batches[2:])

    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.step.numpy() == 2
    assert loaded.generator.dtype_policy.name == policy
    train(loaded, batches[2:])
    for one, other in (
        (model, loaded),
        (model.generator_optimizer, loaded.generator_optimizer),
        (model.discriminator_optimizer, loaded.discriminator_optimizer),
    ):
        assert len(one.variables) == len(other.variables)
        for expected, actual in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(actual, expected, err_msg=expected.path)
    np.testing.assert_array_equal(samples(loaded), samples(model))


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "hinges"},
        {"discriminator_steps": 0},
        {"accumulation_steps": 0},
        {"ema_decay": 1.0},
        {"gradient_penalty": "r2"},
        {"gradient_penalty_interval": 0},
    ],
)
def test_compile_refuses_bad_arguments(arguments):
    name, value = arguments.popitem()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        make(**{name: value})


# Networks with classes.


def make_conditional(**compile_arguments):
    settings = {
        "image_size": 32,
        "channels": 1,
        "width": 4,
        "num_classes": 3,
        "attention_resolutions": (8,),
    }
    model = SAGAN(ResNetGenerator(**settings), ResNetDiscriminator(**settings), seed=3)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), **compile_arguments
    )
    return model


def train_conditional(model, steps=1, batch_size=4):
    labels = np.arange(steps * batch_size).reshape(steps, batch_size) % 3
    images = real_images(steps, batch_size).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels.astype("int32")))
    model.fit(dataset, steps_per_epoch=steps, verbose=0, shuffle=False)


def test_real_images_keep_their_labels_and_fakes_share_theirs(monkeypatch):
    model = make_conditional(discriminator_steps=2)
    seen = []
    for network in (model.generator, model.discriminator):
        call = network.call

        def spy(inputs, labels=None, *args, call=call, name=network.name, **kwargs):
            seen.append((name, labels.numpy().tolist()))
            return call(inputs, labels, *args, **kwargs)

        monkeypatch.setattr(network, "call", spy)
    labels = np.array([0, 1, 2, 0, 2, 2, 1, 1], np.int32)
    images = real_images(1, 8)[0].astype("float32")
    model.train_step((tf.constant(images), tf.constant(labels)))
    g, d = model.generator.name, model.discriminator.name
    assert [name for name, _ in seen] == [g, d, d, g, d, d, g, d]
    drawn = [seen[i][1] for i in (0, 3, 6)]
    assert [seen[i][1] for i in (1, 4)] == [labels[:4].tolist(), labels[4:].tolist()]
    assert [seen[i][1] for i in (2, 5, 7)] == drawn
    assert drawn[0] != drawn[1] or drawn[1] != drawn[2]


def test_labels_are_uniform_and_a_function_of_seed_and_index():
    model = make_conditional()
    _, labels = model._draw_inputs(3000, 0)
    counts = np.bincount(labels, minlength=3)
    assert len(counts) == 3 and counts.min() > 900
    sampler = Sampler(model.generator)
    many = sampler.labels(300, seed=1)
    np.testing.assert_array_equal(sampler.labels(7, seed=1), many[:7])
    assert np.bincount(many, minlength=3).min() > 70
    assert (sampler.labels(300, seed=2).numpy() != many.numpy()).any()


def test_rows_of_tables_are_trained_by_summed_gradients():
    """The gradient of a row is the sum over the images of a batch that read it.

    After one step Adam's v is then the square of its m, up to the betas.
    """
    model = make_conditional(run_eagerly=True)
    train_conditional(model, batch_size=8)
    for optimizer, network in (
        (model.generator_optimizer, model.generator),
        (model.discriminator_optimizer, model.discriminator),
    ):
        tables = 0
        for i, variable in enumerate(network.trainable_variables):
            if "embeddings" not in variable.path:
                continue
            m, v = optimizer._momentums[i] / 0.1, optimizer._velocities[i] / 0.001
            assert np.abs(m).max() > 0
            np.testing.assert_allclose(v, m**2, rtol=1e-3, atol=1e-12)
            tables += 1
        assert tables


def test_data_must_have_labels_if_and_only_if_there_are_classes():
    images, labels = real_images()[0].astype("float32"), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match="has no classes: train it on images alone"):
        make().train_step((images, labels))
    model = make_conditional()
    with pytest.raises(ValueError, match="3 classes: train it on pairs"):
        model.train_step(images)
    for check in (model.train_step, tf.function(model._check_data)):
        for wrong in (-1, 3):
            with pytest.raises(
                tf.errors.InvalidArgumentError, match="Labels must be from 0 to 2"
            ):
                check((tf.constant(images), tf.constant(labels + wrong)))


def test_networks_must_have_the_same_classes():
    conditional = make_conditional()
    with pytest.raises(ValueError, match="3 and 0 classes"):
        SAGAN(
            conditional.generator,
            ResNetDiscriminator(image_size=32, channels=1, width=4),
        )


def test_a_conditional_model_resumes_from_a_keras_file(tmp_path):
    model = make_conditional(
        gradient_penalty="r1",
        gradient_penalty_interval=4,
        augmentation=("color",),
        run_eagerly=True,
    )
    train_conditional(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(samples(loaded), samples(model))
    for each in (model, loaded):
        train_conditional(each)
    for expected, actual in zip(model.variables, loaded.variables, strict=True):
        if "metric" not in expected.path and "seed" not in expected.path:
            np.testing.assert_array_equal(actual, expected, err_msg=expected.path)


# Gradient accumulation, penalties, augmentation, start of the EMA, losses.


class PlainGenerator(keras.Model):
    """Without batch normalization; its convolution is spectrally normalized."""

    image_size, channels, latent_dim = 32, 1, 6

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(8 * 8 * 4, activation="relu")
        self.convolution = SpectralNormalization(
            keras.layers.Conv2DTranspose(1, 4, 4, padding="same")
        )

    def build(self, latents_shape):
        self.dense.build(latents_shape)
        self.convolution.build((None, 8, 8, 4))

    def call(self, latents, training=False):
        x = keras.ops.reshape(self.dense(latents), (-1, 8, 8, 4))
        return keras.ops.tanh(self.convolution(x, training=training))


@pytest.mark.parametrize(
    "run_eagerly", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_accumulated_gradients_are_those_of_the_whole_batch(run_eagerly):
    """4 micro-batches of 16 and one batch of 64, with spectral normalization."""
    models = []
    for accumulation_steps in (1, 4):
        keras.utils.set_random_seed(1)
        discriminator = DCGANDiscriminator(
            image_size=32, channels=1, width=8, attention_resolutions=(8,)
        )
        model = SAGAN(PlainGenerator(), discriminator)
        model.compile(
            keras.optimizers.SGD(0.1),
            keras.optimizers.SGD(0.1),
            accumulation_steps=accumulation_steps,
            discriminator_steps=2,
            run_eagerly=run_eagerly,
        )
        start = values(model)
        train(model, real_images(2, batch_size=128))
        models.append(model)
    assert sum(variable.name == "u" for variable in models[0].variables) > 4
    for whole, accumulated in zip(
        models[0].variables, models[1].variables, strict=True
    ):
        if "seed" not in whole.path:
            np.testing.assert_allclose(
                accumulated, whole, rtol=1e-5, atol=2e-6, err_msg=whole.path
            )
    assert len(changed(start, models[1])) > 20
    for metric in ("discriminator_loss", "generator_loss", "real_logits"):
        assert float(getattr(models[1], metric).result()) == pytest.approx(
            float(getattr(models[0], metric).result()), rel=1e-5
        )


def test_the_penalty_is_a_term_of_the_same_update():
    """At learning rate 0 the loss is the adversarial one plus weight times penalty."""
    losses = {}
    for interval in (None, 1, 2):
        keras.utils.set_random_seed(1)
        arguments = (
            {}
            if interval is None
            else {
                "gradient_penalty": "r1",
                "gradient_penalty_weight": 3.0,
                "gradient_penalty_interval": interval,
            }
        )
        model = make(
            optimizer=lambda: keras.optimizers.SGD(0.0), run_eagerly=True, **arguments
        )
        losses[interval] = []
        for _ in range(2):
            train(model, real_images())
            losses[interval].append(float(model.discriminator_loss.result()))
            model.reset_metrics()
        assert model.discriminator_optimizer.iterations.numpy() == 2
    plain, every, lazy = (np.array(losses[key]) for key in (None, 1, 2))
    penalty = every - plain
    assert (penalty > 1e-4).all()
    # Every second step, scaled by 2.
    assert lazy[0] - plain[0] == pytest.approx(2 * penalty[0], rel=1e-3)
    assert lazy[1] == pytest.approx(plain[1], abs=1e-6)


@pytest.mark.parametrize("weight", [1.0, 30.0])
def test_the_discriminators_gradient_is_that_of_loss_and_penalty(weight):
    """One step of gradient descent against a gradient computed here."""
    arguments = {"loss": "wgan", "optimizer": lambda: keras.optimizers.SGD(1e-3)}
    model = make(gradient_penalty="r1", gradient_penalty_weight=weight, **arguments)
    discriminator = model.discriminator
    real = tf.constant(real_images()[0], "float32")
    converge(model)
    fake = model.generator(model._draw_latents(4, 0), training=True)
    before = [variable.numpy() for variable in discriminator.trainable_variables]

    def discriminate(images):  # in training mode, without state updates
        with keras.StatelessScope():
            return discriminator(images, training=True)

    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(real)
            total = tf.reduce_sum(discriminate(real))
        squares = tf.reduce_sum(inner.gradient(total, real) ** 2, [1, 2, 3])
        loss = tf.reduce_mean(discriminate(fake)) - tf.reduce_mean(discriminate(real))
        loss += weight * tf.reduce_mean(squares) / 2
    gradients = tape.gradient(loss, discriminator.trainable_variables)
    model._train_discriminator(real, update=0)
    for variable, start, gradient in zip(
        discriminator.trainable_variables, before, gradients, strict=True
    ):
        step = (start - variable.numpy()) / 1e-3
        scale = np.abs(gradient).max()
        # The difference of two float32 kernels is rounded.
        np.testing.assert_allclose(
            step, gradient, atol=0.01 * scale + 1e-3, err_msg=variable.path
        )


def test_the_penalty_changes_no_state():
    plain, penalized = (
        make(optimizer=lambda: keras.optimizers.SGD(0.0), run_eagerly=True, **arguments)
        for arguments in ({}, {"gradient_penalty": "gp"})
    )
    penalized.discriminator.set_weights(plain.discriminator.get_weights())
    penalized.generator.set_weights(plain.generator.get_weights())
    for model in (plain, penalized):
        train(model, real_images())
    for expected, actual in zip(
        plain.discriminator.variables, penalized.discriminator.variables, strict=True
    ):
        np.testing.assert_array_equal(actual, expected, err_msg=expected.path)


@pytest.mark.parametrize("penalty", ["gp", "lp", "dragan", "r1"])
def test_trains_with_every_penalty_and_augmentation(penalty):
    model = make(
        loss="wgan",
        gradient_penalty=penalty,
        augmentation=("color", "translation", "cutout"),
        run_eagerly=True,
    )
    before = values(model.discriminator)
    train(model, real_images())
    kernels = {name for name in before if "/conv_" in name and "kernel" in name}
    assert kernels and changed(before, model.discriminator) >= kernels
    assert all(np.isfinite(w).all() for w in values(model.discriminator).values())


def test_the_discriminator_sees_augmented_images_only(monkeypatch):
    model = make(augmentation=("cutout",), run_eagerly=True)
    seen = []
    call = model.discriminator.call
    monkeypatch.setattr(
        model.discriminator,
        "call",
        lambda images, **kwargs: (
            seen.append(images.numpy()),
            call(images, **kwargs),
        )[1],
    )
    model.train_step(tf.constant(real_images()[0], "float32"))
    assert len(seen) == 3  # real, fake, and fake for the generator
    blanks = [(images == 0) for images in seen]
    for blank in blanks:
        assert (blank.mean(axis=(1, 2, 3)) > 0.05).all()
    assert (blanks[0] != blanks[1]).any() and (blanks[1] != blanks[2]).any()


def test_ema_start_step():
    model = make(ema_decay=0.5, ema_start_step=2, run_eagerly=True)
    for step in range(4):
        before = values(model.ema_generator)
        train(model, real_images())
        decay = 0.0 if step < 2 else 0.5
        for (name, old), ema, own in zip(
            before.items(),
            values(model.ema_generator).values(),
            values(model.generator).values(),
            strict=True,
        ):
            expected = decay * old + (1 - decay) * own
            np.testing.assert_allclose(ema, expected, atol=1e-6, err_msg=name)


@keras.saving.register_keras_serializable(package="tests")
def relativistic_discriminator_loss(real_logits, fake_logits):
    return keras.ops.mean(keras.ops.softplus(fake_logits - real_logits))


@keras.saving.register_keras_serializable(package="tests")
def relativistic_generator_loss(real_logits, fake_logits):
    return keras.ops.mean(keras.ops.softplus(real_logits - fake_logits))


RELATIVISTIC = AdversarialLoss(
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    generator_uses_real_logits=True,
)


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_a_loss_can_use_real_and_fake_logits_in_both_updates(accumulation_steps):
    model = make(
        optimizer=lambda: keras.optimizers.SGD(0.0),
        loss=RELATIVISTIC,
        accumulation_steps=accumulation_steps,
    )
    real = real_images()[0].astype("float32")
    converge(model)
    size = 4 // accumulation_steps
    real_logits = model.discriminator(real).numpy()
    fake_logits = np.concatenate(
        [
            model.discriminator(model.generator(part, training=True)).numpy()
            for part in np.split(model._draw_latents(4, 1).numpy(), 4 // size)
        ]
    )
    expected = np.log1p(np.exp(real_logits - fake_logits)).mean()
    before = values(model.discriminator)
    means, _ = model._train_generator(tf.constant(real))
    assert float(means["generator_loss"]) == pytest.approx(expected, rel=1e-4)
    assert changed(before, model.discriminator) == set()


def test_a_loss_of_your_own_goes_through_a_keras_file(tmp_path):
    model = make(loss=RELATIVISTIC, run_eagerly=True)
    train(model, real_images())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.adversarial_loss == RELATIVISTIC
    for each in (model, loaded):
        train(each, real_images())
    np.testing.assert_array_equal(samples(loaded), samples(model))


# Loss scaling.


def scales(model):
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    return [float(optimizer.dynamic_scale.numpy()) for optimizer in optimizers]


def test_each_optimizer_scales_its_loss_without_changing_the_update():
    def optimizer():
        return keras.optimizers.SGD(0.1)

    def scaling_optimizer():
        return keras.optimizers.LossScaleOptimizer(optimizer())

    plain, scaled = make(optimizer=optimizer), make(optimizer=scaling_optimizer)
    assert scales(scaled) == [2.0**15, 2.0**15]
    for network in ("generator", "discriminator", "ema_generator"):
        getattr(scaled, network).set_weights(getattr(plain, network).get_weights())
    batches = real_images(3)
    train(plain, batches)
    train(scaled, batches)
    for network in ("generator", "discriminator", "ema_generator"):
        variables = (getattr(model, network).variables for model in (plain, scaled))
        for expected, actual in zip(*variables, strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("networks", ["both", "generator", "discriminator"])
def test_an_update_that_overflows_is_skipped(networks):
    model = make("mixed_float16")
    optimizers = {
        "generator": model.generator_optimizer,
        "discriminator": model.discriminator_optimizer,
    }
    for name, optimizer in optimizers.items():
        optimizer.dynamic_scale.assign(2.0**100 if networks in ("both", name) else 1.0)
    before = {name: values(getattr(model, name)) for name in optimizers}
    train(model, real_images())
    for name, optimizer in optimizers.items():
        if networks in ("both", name):
            assert optimizer.dynamic_scale.numpy() == 2.0**99
            assert optimizer.iterations.numpy() == 0
            # An update of the other network moves the generator's batch statistics.
            state = ("/moving_", "/u") if networks != "both" else ()
            left = {k for k in before[name] if not any(s in k for s in state)}
            assert not left & changed(before[name], getattr(model, name))
        else:
            assert optimizer.dynamic_scale.numpy() == 1.0
            assert optimizer.iterations.numpy() == 1
            assert changed(before[name], getattr(model, name))
    assert model.step.numpy() == model.skipped_in_a_row.numpy() == 1
    assert np.isfinite([float(m.result()) for m in model.metrics]).all()
    assert float(model.skipped_steps.result()) == 1


def test_the_scale_falls_until_the_gradients_are_finite():
    model = make("mixed_float16")
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        optimizer.dynamic_scale.assign(2.0**30)
    before = values(model.generator)
    train(model, real_images(25))
    assert all(1 < scale < 2.0**25 for scale in scales(model))
    assert model.skipped_in_a_row.numpy() == 0
    assert 5 < float(model.skipped_steps.result()) < 25
    # Every step updates, or halves, each of the two.
    updates = 25 - np.log2(2.0**30 / np.array(scales(model)))
    assert model.generator_optimizer.iterations.numpy() == updates[0]
    assert model.discriminator_optimizer.iterations.numpy() == updates[1]
    assert changed(before, model.generator)
    for network in (model.generator, model.discriminator, model.ema_generator):
        assert all(np.isfinite(value).all() for value in values(network).values())


def test_two_devices_skip_together(two_devices):
    """One of them overflows; both skip the update."""
    with two_devices.scope():
        model = make("mixed_float16")
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        optimizer.dynamic_scale.assign(1.0)
    batches = real_images(2)
    batches[0, 2:] = np.inf  # the second device's half
    before = values(model.discriminator)
    train(model, batches[:1])
    assert changed(before, model.discriminator) == set()
    assert model.discriminator_optimizer.dynamic_scale.numpy() == 0.5
    assert model.generator_optimizer.dynamic_scale.numpy() == 1.0
    train(model, batches[1:])
    assert changed(before, model.discriminator)
    for variable in model.discriminator.variables:
        first, second = variable.value.values
        np.testing.assert_array_equal(first, second)


def test_losses_that_overflow_without_a_skipped_update_are_seen():
    """Under the hinge loss they have finite gradients."""
    model = make("mixed_float16")
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        optimizer.dynamic_scale.assign(1.0)
    model.discriminator.to_logit.bias.assign([1e5])
    train(model, real_images())
    assert float(model.skipped_steps.result()) == 0
    assert not np.isfinite(float(model.discriminator_loss.result()))


@pytest.mark.parametrize("penalty", ["dragan", "r1"])
def test_a_lazy_penalty_must_not_need_other_replicas(penalty, two_devices):
    settings = {"image_size": 8, "width": 4, "attention_resolutions": ()}
    with two_devices.scope():
        model = SAGAN(
            InfoGANGenerator(**settings),
            InfoGANDiscriminator(**settings, synchronized_batch_norm=True),
        )
        sgd = keras.optimizers.SGD
        arguments = {"gradient_penalty": penalty, "gradient_penalty_interval": 3}
        with pytest.raises(ValueError, match="gradient_penalty_interval=3"):
            model.compile(sgd(), sgd(), **arguments)
