"""python -m examples.cyclegan

CycleGAN (Zhu et al., 2017, arXiv 1703.10593) in one file. It uses `SelfAttention` and
`SpectralNormalization` from this package in networks of its own: two translators turn
the images of one set into those of another, without pairs of them.

Set A is one half of scikit-learn's handwritten digits, white on black. Set B is the
other half in blue ink on yellow paper. The default of 400 steps takes about a
minute and a half on two CPU cores.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from keras import ops

from sagan_tf import Config, SelfAttention, SpectralNormalization
from sagan_tf.data import load_images
from sagan_tf.losses import LOSSES
from sagan_tf.sampling import to_uint8
from sagan_tf.visualization import save_image_grid

_STEPS = flags.DEFINE_integer("steps", 400, "Updates of each of the four networks.")
_OUTPUT = flags.DEFINE_string("output", "cyclegan.png", "Image file to write.")

INK, PAPER = (20, 40, 140), (250, 240, 190)


def build_translator(width=32):
    """Builds a network from images to images, `[batch, 32, 32, 3]` in `[-1, 1]`."""
    inputs = x = keras.Input((32, 32, 3))
    x = _convolution(x, width, kernel_size=5)
    x = _convolution(x, 2 * width, strides=2)
    for _ in range(2):
        x = x + _convolution(x, 2 * width)
    # 16x16 queries attend to 8x8 pooled keys: they find the ink in the image.
    x = SelfAttention(pool_size=2)(x)
    x = keras.layers.UpSampling2D()(x)
    x = _convolution(x, width)
    outputs = keras.layers.Conv2D(3, 5, padding="same", activation="tanh")(x)
    return keras.Model(inputs, outputs)


def build_discriminator(width=32):
    """Builds a network from images to logits of 8x8 patches, high for real ones."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            SpectralNormalization(keras.layers.Conv2D(width, 4, 2, "same")),
            keras.layers.LeakyReLU(0.2),
            SpectralNormalization(keras.layers.Conv2D(2 * width, 4, 2, "same")),
            keras.layers.LeakyReLU(0.2),
            SelfAttention(),
            SpectralNormalization(keras.layers.Conv2D(1, 3, padding="same")),
        ]
    )


class CycleGAN(keras.Model):
    """Two translators and two discriminators, trained against each other.

    The discriminator of a set learns to tell its images from translated ones. The
    translators learn to fool the discriminators, and to reverse each other: the cycle
    loss is `|to_a(to_b(a)) - a| + |to_b(to_a(b)) - b|`.

    Args:
        cycle_weight: Float, the weight of the cycle loss.
    """

    def __init__(self, cycle_weight=10.0):
        super().__init__()
        self.to_a, self.to_b = build_translator(), build_translator()
        self.discriminator_a = build_discriminator()
        self.discriminator_b = build_discriminator()
        self.cycle_weight = cycle_weight
        self.loss = LOSSES["lsgan"]

    def compile(self, learning_rate=1e-3):
        super().compile(optimizer=None)
        self.translator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
        self.discriminator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)

    def train_step(self, images):
        a, b = images
        with tf.GradientTape() as tape:
            fake_a, fake_b = self.to_a(b, training=True), self.to_b(a, training=True)
            adversarial = self.loss.generator(self.discriminator_a(fake_a))
            adversarial += self.loss.generator(self.discriminator_b(fake_b))
            cycle = ops.mean(ops.abs(self.to_a(fake_b, training=True) - a))
            cycle += ops.mean(ops.abs(self.to_b(fake_a, training=True) - b))
            loss = adversarial + self.cycle_weight * cycle
        weights = self.to_a.trainable_weights + self.to_b.trainable_weights
        self.translator_optimizer.apply(tape.gradient(loss, weights), weights)

        with tf.GradientTape() as tape:
            discriminator_loss = 0.0
            for discriminator, real, fake in (
                (self.discriminator_a, a, fake_a),
                (self.discriminator_b, b, fake_b),
            ):
                discriminator_loss += self.loss.discriminator(
                    discriminator(real, training=True),
                    discriminator(fake, training=True),
                )
        weights = (
            self.discriminator_a.trainable_weights
            + self.discriminator_b.trainable_weights
        )
        gradients = tape.gradient(discriminator_loss, weights)
        self.discriminator_optimizer.apply(gradients, weights)
        return {
            "cycle": cycle,
            "adversarial": adversarial,
            "discriminator": discriminator_loss,
        }


def load_sets():
    """Returns sets A and B, float32 `[899, 32, 32, 3]` and `[898, ...]`."""
    digits, _ = load_images(Config(dataset="digits", image_size=32, channels=3))
    digits = digits.astype("float32") / 255
    a, b = digits[::2], digits[1::2]
    b = b * np.float32(INK) / 255 + (1 - b) * np.float32(PAPER) / 255
    return 2 * a - 1, 2 * b - 1


def main(_):
    keras.utils.set_random_seed(0)
    a, b = load_sets()
    batches = tf.data.Dataset.zip(
        *(
            tf.data.Dataset.from_tensor_slices(images)
            .shuffle(len(images), seed=seed)
            .repeat()
            .batch(16)
            for seed, images in enumerate((a, b))
        )
    )
    model = CycleGAN()
    model.compile()
    model.fit(batches.prefetch(2), steps_per_epoch=_STEPS.value)

    rows = []
    for images, translate, translate_back in (
        (a[:8], model.to_b, model.to_a),
        (b[:8], model.to_a, model.to_b),
    ):
        translated = translate(images)
        rows += [images, translated, translate_back(translated)]
    grid = to_uint8(np.concatenate(rows)).numpy()
    save_image_grid(grid, Path(_OUTPUT.value), columns=8)
    print(f"Rows of a, to_b(a), to_a(to_b(a)), then of b. Saved to {_OUTPUT.value}")


def _convolution(x, filters, kernel_size=3, strides=1):
    x = keras.layers.Conv2D(filters, kernel_size, strides, padding="same")(x)
    x = keras.layers.GroupNormalization(groups=-1)(x)  # each channel of each image
    return keras.layers.ReLU()(x)


if __name__ == "__main__":
    app.run(main)
