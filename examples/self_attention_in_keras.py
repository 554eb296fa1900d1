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
# # Self-attention in your own Keras model
#
# A convolution sees a neighborhood. Self-attention sees the whole feature map: each
# position computes how much it attends to every other one, and adds what it finds
# there. This tutorial puts the `SelfAttention` layer of
# [SAGAN](https://arxiv.org/abs/1805.08318) into a small network, shows what it adds,
# and looks at where it attends.
#
# It needs Keras with any backend, which `KERAS_BACKEND` chooses before Keras is
# imported, and takes half a minute to a minute on a CPU. In Colab, upload
# the wheel of this package (`python -m build` writes it to `dist/`), and run
# `%pip install --no-deps sagan_tf-*.whl` first.

# %%
import keras
import numpy as np
from keras import layers

from sagan_tf import SelfAttention, SpectralNormalization

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None  # there are numbers then, and no pictures

keras.utils.set_random_seed(0)
print(f"Keras {keras.__version__} on {keras.backend.backend()}")

# %% [markdown]
# ## A task that needs distant pixels
#
# Each image has a gray square, and far from it a square in some color. The network
# must paint the gray square in that color.

# %%
SIZE = 24


def draw_images(num_images, seed):
    """Draws images and what they should become, float32 `[N, 24, 24, 3]`."""
    random = np.random.default_rng(seed)
    images = np.zeros((num_images, SIZE, SIZE, 3), np.float32)
    targets = images.copy()
    for image, target in zip(images, targets, strict=True):
        distance = 0
        while distance <= 14:
            (y, x), (v, u) = random.integers(SIZE - 6, size=(2, 2))
            distance = abs(y - v) + abs(x - u)
        color = random.uniform(0.2, 1, 3)
        for picture, square in ((image, 0.5), (target, color)):
            picture[y : y + 6, x : x + 6] = square
            picture[v : v + 6, u : u + 6] = color
    return images, targets


images, targets = draw_images(2048, seed=0)
test_images, test_targets = draw_images(256, seed=1)

# %% [markdown]
# ## Two networks
#
# They differ in one line. The convolutions see at most 7 pixels away. At 12x12, the
# attention has 144 queries and as many keys. `key_reduction=4` gives queries and keys a
# quarter of the channels.


# %%
def build(with_attention):
    inputs = x = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    if with_attention:
        x = SelfAttention(key_reduction=4, name="attention")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Concatenate()([layers.UpSampling2D()(x), inputs])
    x = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Add()([inputs, x]))


to_paint = np.abs(test_images - test_targets).max(axis=-1) > 0
models = {"convolutions": build(False), "attention": build(True)}
painted = {}
for name, model in models.items():
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    model.fit(images, targets, batch_size=32, epochs=15, verbose=0)
    painted[name] = model.predict(test_images, verbose=0)
    error = np.abs(painted[name] - test_targets)[to_paint].mean()
    print(f"{name:<14} mean error in the square: {error:.3f}")

# %% [markdown]
# Convolutions alone paint an average color, whose error is about 0.2. Attention carries
# the color across.
#
# The layer begins as the identity: its output is `gamma * attended + inputs`, and
# `gamma` starts at 0. So it can be added to a network that is already trained.

# %%
model = models["attention"]
attention = model.get_layer("attention")
print(f"gamma = {float(keras.ops.convert_to_numpy(attention.gamma)):.2f}")

# %% [markdown]
# ## Where it attends
#
# With `return_attention_scores=True` the layer also returns the scores, float32
# `[batch, queries, keys]`. Each row sums to 1.

# %%
before = keras.Model(model.inputs, attention.input)
_, scores = attention(
    before.predict(test_images[:6], verbose=0), return_attention_scores=True
)
scores = keras.ops.convert_to_numpy(scores)
maps = scores.reshape(-1, 12, 12, 12, 12)  # [batch, query y, x, key y, x]

for number in range(6):
    gray = to_paint[number]
    colored = (test_images[number] > 0).any(axis=-1) & ~gray
    query, center = (
        tuple(int(axis.mean()) // 2 for axis in np.nonzero(square))
        for square in (gray, colored)
    )
    key = np.unravel_index(maps[number][query].argmax(), (12, 12))
    print(
        f"From {query} it attends most to {tuple(map(int, key))}; "
        f"the colored square is around {center}"
    )

if plt:
    figure, axes = plt.subplots(4, 6, figsize=(9, 6.4))
    for number, column in enumerate(axes.T):
        rows, columns = np.nonzero(to_paint[number])
        y, x = int(rows.mean()), int(columns.mean())
        shown = (
            test_images[number],
            painted["convolutions"][number].clip(0, 1),
            painted["attention"][number].clip(0, 1),
            maps[number, y // 2, x // 2].repeat(2, axis=0).repeat(2, axis=1),
        )
        for axis, picture in zip(column, shown, strict=True):
            axis.imshow(picture, cmap="magma")
            axis.set(xticks=[], yticks=[])
        column[0].plot(x, y, "wx")
        column[3].plot(x, y, "wx")
    names = ("image", "convolutions", "attention", "attention map")
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name)
    figure.tight_layout()
    figure.savefig("self_attention.png")

# %% [markdown]
# The cross is the query. It attends to both squares, and usually more to the colored
# one, wherever that is.
#
# ## In a GAN
#
# A discriminator with spectral normalization: wrap any layer with a kernel. The kernel
# is divided by its largest singular value, which one power iteration per training step
# estimates.

# %%
x = inputs = keras.Input((64, 64, 3))
for width in (32, 64, 128):
    x = SpectralNormalization(layers.Conv2D(width, 4, 2, "same"))(x)
    x = layers.LeakyReLU(0.2)(x)
    if width == 64:  # at 16x16; keys and values are max-pooled to 8x8
        x = SelfAttention(pool_size=2, spectral_normalization=True)(x)
logits = SpectralNormalization(layers.Dense(1))(layers.Flatten()(x))
discriminator = keras.Model(inputs, logits)
print(f"{discriminator.count_params():,} parameters")

# %% [markdown]
# Both layers are saved and loaded like Keras' own. A program that only loads them must
# import them first: `from sagan_tf import SelfAttention`.

# %%
model.save("painter.keras")
loaded = keras.saving.load_model("painter.keras")
again = loaded.predict(test_images, verbose=0)
print(f"Largest difference after loading: {np.abs(again - painted['attention']).max()}")
