"""python train.py --dataset=mnist_infogan

MNIST at its original 28 px as in TwistedW/tensorflow-GANs, `SAGAN.py` (TensorFlow 1):
networks of InfoGAN's shape, attention made of 4x4 convolutions with batch normalization
and ReLU, no spectral normalization, sigmoid cross-entropy, Adam, uniform latents, 25
epochs. The learning rates are those of the source too, although the generator's is
higher than the discriminator's, the opposite of the two-time-scale rule. For
Fashion-MNIST: `--config=mnist_infogan --dataset=fashion_mnist`.

Differences from the source, and their reasons:
- Images are in [-1, 1], as everywhere in this package. The networks convert them to the
  source's [0, 1] and back.
- In evaluation, the batch normalization in attention uses the moving statistics. The
  source never leaves training mode.
- The training split alone is used, shuffled. The source trains on both splits in their
  order.
- The generator's update has its own latents.
- Samples come from the EMA generator.

Expected: on two CPU cores a step takes 0.23 s, and the 25 epochs an hour and a half.
The whole run was not made.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="mnist",
        image_size=28,
        channels=1,
        architecture="infogan",
        width=64,
        latent_dim=62,
        latent_distribution="uniform",
        generator_attention_resolutions=(7,),
        discriminator_attention_resolutions=(7,),
        generator_spectral_normalization=False,
        discriminator_spectral_normalization=False,
        batch_size=64,
        steps=25 * 60_000 // 64,
        loss="non_saturating",
        generator_learning_rate=1e-3,
        discriminator_learning_rate=2e-4,
        beta_1=0.5,
        beta_2=0.999,
        adam_epsilon=1e-8,
    )
