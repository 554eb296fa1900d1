import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import SAGAN, DCGANDiscriminator, DCGANGenerator
from sagan_tf.models.sagan import to_uint8

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


def train(model, batches):
    dataset = tf.data.Dataset.from_tensor_slices(batches.astype("float32"))
    model.fit(dataset, steps_per_epoch=len(batches), verbose=0, shuffle=False)


def values(network):
    return {f"{i} {w.path}": w.numpy() for i, w in enumerate(network.variables)}


def changed(before, network):
    after = values(network)
    return {name for name in before if (before[name] != after[name]).any()}


def moving(network_values):
    """What an update moves: all but the keys' bias, which is the same to all keys and
    so nothing to their softmax."""
    return {name for name in network_values if not name.endswith("/key/bias")}


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_each_update_changes_one_network_alone(policy, jit_compile):
    # Under the hinge loss D's last bias has no gradient while all are in the margin.
    model = make(policy, loss="lsgan")
    for network in (model.generator, model.discriminator):
        # At 0 the rest of the block would have no gradient.
        network.get_layer("attention_8x8").gamma.assign(0.5)
    discriminator, generator = values(model.discriminator), values(model.generator)
    tf.function(model._train_generator, jit_compile=jit_compile)(4)
    assert changed(discriminator, model.discriminator) == set()
    assert changed(generator, model.generator) >= moving(generator)

    generator = values(model.generator)
    real = tf.constant(real_images()[0], "float32")
    update = tf.function(model._train_discriminator, jit_compile=jit_compile)
    update(real, update=0)
    assert changed(discriminator, model.discriminator) >= moving(discriminator)
    # The fakes are made in training mode: batch statistics and u move, no more.
    state = {name for name in generator if "/moving_" in name or "/u" in name}
    assert changed(generator, model.generator) == state


def test_losses_are_those_of_the_networks_before_the_update():
    model = make(optimizer=lambda: keras.optimizers.SGD(0.0))
    real = real_images()[0].astype("float32")
    # Nothing is learned at rate 0, and one power iteration in each pass is all that
    # makes the step differ from this.
    for _ in range(200):
        model.generator(np.zeros((1, 128), "float32"), training=True)
        model.discriminator(real, training=True)
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


def test_average_is_that_of_its_definition():
    model = make(ema_decay=0.3)
    names = [w.path for w in model.ema_generator.variables]
    assert any("moving_variance" in name for name in names)
    expected = [w.numpy().astype("float64") for w in model.generator.variables]
    for step in range(4):
        train(model, real_images())
        decay = min(0.3, (1 + step) / (10 + step))  # 0.1, 0.18, 0.25, 0.3
        expected = [
            decay * average + (1 - decay) * w.numpy()
            for average, w in zip(expected, model.generator.variables, strict=True)
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


def test_uniform_latents_fill_their_interval():
    settings = {"image_size": 32, "width": 8, "attention_resolutions": ()}
    model = SAGAN(
        DCGANGenerator(**settings),
        DCGANDiscriminator(**settings),
        latent_distribution="uniform",
    )
    for latents in (model._draw_latents(64, 0), model.sample_latents(64)):
        assert -1 <= np.min(latents) < -0.99 and 0.99 < np.max(latents) < 1
        assert np.mean(latents) == pytest.approx(0, abs=0.03)
        assert np.var(latents) == pytest.approx(1 / 3, abs=0.01)
    with pytest.raises(ValueError, match="latent_distribution=gaussian"):
        SAGAN(model.generator, model.discriminator, latent_distribution="gaussian")


def test_every_discriminator_update_has_its_own_real_batch(monkeypatch):
    model = make(discriminator_steps=3, run_eagerly=True)
    seen = []
    train_discriminator = model._train_discriminator
    monkeypatch.setattr(
        model,
        "_train_discriminator",
        lambda images, update: (
            seen.append((update, images.numpy())),
            train_discriminator(images, update=update),
        ),
    )
    batch = real_images(batch_size=12)
    train(model, batch)
    assert [number for number, _ in seen] == [0, 1, 2]
    np.testing.assert_array_equal(
        np.concatenate([images for _, images in seen]), batch[0].astype("float32")
    )
    assert model.discriminator_optimizer.iterations.numpy() == 3
    assert model.generator_optimizer.iterations.numpy() == 1
    assert model.step.numpy() == 1


@pytest.mark.parametrize("loss", ["hinge", "non_saturating", "lsgan", "wgan"])
def test_trains_with_every_loss(loss):
    model = make(loss=loss)
    before = values(model.generator)
    train(model, real_images())
    assert changed(before, model.generator) >= {
        name for name in before if "/sn_" in name or "/bn_" in name
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_goes_on_from_a_keras_file_as_if_never_stopped(policy, tmp_path):
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
    np.testing.assert_array_equal(loaded.generate(3), model.generate(3))


def test_generate_gives_the_same_image_for_a_seed_and_a_place():
    model = make()
    train(model, real_images())
    images = model.generate(7, seed=5, batch_size=3)
    assert images.shape == (7, 32, 32, 1) and images.dtype == np.uint8
    np.testing.assert_array_equal(model.generate(2, seed=5, batch_size=3), images[:2])
    assert (model.generate(2, seed=6) != images[:2]).mean() > 0.1
    # The averaged generator's, in evaluation mode.
    latents = model.sample_latents(7, seed=5)
    expected = to_uint8(model.ema_generator(latents, training=False)).numpy()
    assert np.abs(expected.astype(int) - images).max() <= 1


def test_truncation_brings_images_together():
    model = make()
    train(model, real_images())
    spread = [
        model.generate(32, truncation=t).std(axis=0).mean() for t in (1.0, 0.5, 0.0)
    ]
    assert spread[0] > spread[1] > spread[2] == 0
    np.testing.assert_array_equal(
        model.sample_latents(3, 1, 0.5), 0.5 * model.sample_latents(3, 1)
    )


def test_uint8_is_rounded_and_clipped():
    values = tf.constant([-2.0, -1.0, -0.999, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 128, 255, 255])
    every = np.arange(256)
    np.testing.assert_array_equal(to_uint8(every / 127.5 - 1.0), every)


def test_replicas_share_the_batch(two_devices, monkeypatch):
    """With one batch of reals and of latents, twice, two devices do what one does."""
    monkeypatch.setattr(
        SAGAN, "_draw_latents", lambda self, n, update: self.sample_latents(2, update)
    )
    half = real_images(2, batch_size=2)

    def optimizer():
        return keras.optimizers.SGD(0.1, momentum=0.5)

    alone = make(optimizer=optimizer)
    with two_devices.scope():
        model = make(optimizer=optimizer)
    for network in ("generator", "discriminator", "ema_generator"):
        getattr(model, network).set_weights(getattr(alone, network).get_weights())
    start = values(alone)
    train(alone, half)
    train(model, np.concatenate([half, half], axis=1))
    assert model.step.numpy() == 2
    assert changed(start, alone) >= {name for name in start if name.endswith("/u")}
    for expected, actual in zip(alone.variables, model.variables, strict=True):
        if "metric" in expected.path or "seed" in expected.path:
            continue
        first, second = actual.value.values
        np.testing.assert_array_equal(first, second, err_msg=expected.path)
        np.testing.assert_allclose(first, expected, atol=2e-6, err_msg=expected.path)


@pytest.mark.parametrize(
    "arguments",
    [{"loss": "hinges"}, {"discriminator_steps": 0}, {"ema_decay": 1.0}],
)
def test_compile_refuses_bad_arguments(arguments):
    name, value = arguments.popitem()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        make(**{name: value})
