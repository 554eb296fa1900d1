# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # SAGAN from its layers in 100 lines
#
# Two networks, a loss, and a training step: the
# [Self-Attention GAN](https://arxiv.org/abs/1805.08318) as one can read it from top to
# bottom. It learns to write the 1,797 digits of scikit-learn, enlarged to 16x16, in
# about a minute and a half on two CPU cores. What a real training needs besides
# (checkpoints, logs, metrics, several devices) is in the package: `sagan-tf train`.
#
# It needs what `pip install .` installs, such as TensorFlow and scikit-learn. In Colab,
# upload the wheel of this package (`python -m build` writes it to `dist/`), and run
# `%pip install sagan_tf-*.whl` first.

# %%
import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.datasets import load_digits

from sagan_tf import SelfAttention, SpectralNormalization

BATCH_SIZE, LATENT_DIM, STEPS = 64, 64, 2000
keras.utils.set_random_seed(0)

digits = load_digits().images / 8 - 1  # [1797, 8, 8] in [-1, 1]
digits = np.pad(digits, ((0, 0), (1, 1), (1, 1)), constant_values=-1)[..., None]
images = ops.image.resize(digits.astype("float32"), (16, 16))
dataset = tf.data.Dataset.from_tensor_slices(images).shuffle(1797, seed=0).repeat()
dataset = dataset.batch(BATCH_SIZE)

# %% [markdown]
# ## Networks
#
# The generator turns a latent, a random vector, into an image. The discriminator turns
# an image into one number, the logit: high for real images. Both have self-attention on
# their 8x8 maps, and spectral normalization, which keeps the discriminator smooth.


# %%
def build_generator():
    """Latents `[batch, 64]` -> images `[batch, 16, 16, 1]` in `[-1, 1]`."""
    latents = keras.Input((LATENT_DIM,))
    x = layers.Reshape((1, 1, LATENT_DIM))(latents)
    for filters, strides, padding in ((128, 1, "valid"), (64, 2, "same")):
        convolution = layers.Conv2DTranspose(filters, 4, strides, padding)
        x = SpectralNormalization(convolution)(x)  # to 4x4, then to 8x8
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = SelfAttention(name="attention")(x)
    x = layers.Conv2DTranspose(1, 4, 2, "same", activation="tanh")(x)
    return keras.Model(latents, x)


def build_discriminator():
    """Images `[batch, 16, 16, 1]` -> logits `[batch, 1]`."""
    x = images = keras.Input((16, 16, 1))
    x = layers.LeakyReLU(0.1)(SpectralNormalization(layers.Conv2D(64, 4, 2, "same"))(x))
    x = SelfAttention()(x)
    x = SpectralNormalization(layers.Conv2D(128, 4, 2, "same"))(x)
    x = layers.Flatten()(layers.LeakyReLU(0.1)(x))
    return keras.Model(images, SpectralNormalization(layers.Dense(1))(x))


generator, discriminator = build_generator(), build_discriminator()
ema_generator = build_generator()  # a moving average of the generator's weights
ema_generator.set_weights(generator.get_weights())

# %% [markdown]
# ## The training step
#
# The discriminator learns to give real images logits above 1 and generated ones below
# -1: the hinge loss. The generator learns to raise the logits of its images. The
# discriminator has the larger learning rate (two time-scale update rule).

# %%
generator_optimizer = keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.9)
discriminator_optimizer = keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.9)


@tf.function
def train_step(real):
    latents = tf.random.normal((2, BATCH_SIZE, LATENT_DIM))
    with tf.GradientTape() as tape:
        generated = generator(latents[0], training=True)
        real_logits = discriminator(real, training=True)
        fake_logits = discriminator(generated, training=True)
        discriminator_loss = ops.mean(ops.relu(1 - real_logits))
        discriminator_loss += ops.mean(ops.relu(1 + fake_logits))
    variables = discriminator.trainable_variables
    gradients = tape.gradient(discriminator_loss, variables)
    discriminator_optimizer.apply(gradients, variables)

    with tf.GradientTape() as tape:
        generated = generator(latents[1], training=True)
        generator_loss = -ops.mean(discriminator(generated, training=True))
    variables = generator.trainable_variables
    gradients = tape.gradient(generator_loss, variables)
    generator_optimizer.apply(gradients, variables)

    for average, value in zip(
        ema_generator.variables, generator.variables, strict=True
    ):
        if "float" in average.dtype:  # not the state of random generators
            average.assign(0.995 * average + 0.005 * value)
    return discriminator_loss, generator_loss


for step, real in enumerate(dataset.take(STEPS), start=1):
    losses = train_step(real)
    if step % 500 == 0:
        print(f"Step {step}: D {losses[0]:.3f}, G {losses[1]:.3f}")

# %% [markdown]
# ## Images
#
# A discriminator loss near 2 says that it can hardly tell real from generated images.
# At 0 it would have won.

# %%
latents = keras.random.normal((64, LATENT_DIM), seed=1)
samples = np.asarray(ema_generator(latents, training=False))
grid = samples.reshape(8, 8, 16, 16).transpose(0, 2, 1, 3).reshape(128, 128, 1)
keras.utils.save_img("digits.png", grid, scale=True)
print(f"gamma of the attention: {float(generator.get_layer('attention').gamma):.3f}")
