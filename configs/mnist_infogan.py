"""python train.py --dataset=mnist_infogan

MNIST at its own 28 px by the TensorFlow 1 seed, TwistedW/tensorflow-GANs `SAGAN.py`,
number by number: networks of InfoGAN's shape, attention made of 4x4 convolutions with
batch normalization and ReLU, no spectral normalization, sigmoid cross-entropy, Adam,
uniform latents, 25 epochs. The rates are the seed's, the generator's above the
discriminator's: the two-time-scale rule the wrong way round. Fashion-MNIST likewise:
`--config=configs/mnist_infogan.py --dataset=fashion_mnist`.

Where this differs from the seed, and why:
- Images are in [-1, 1] on their way, as everywhere here; the networks turn them into
  the seed's [0, 1] and back.
- Attention's batch normalization uses the moving statistics in evaluation; the seed's
  never left training mode.
- The training split alone, shuffled; the seed trained on both splits in their order.
- The generator's update has latents of its own.
- Samples are the moving average's.

On two CPU cores a step takes 0.23 s, so the 25 epochs an hour and a half. After 1,080
steps (252 s) the distance of configs/mnist.py's header is 4.3 and 3.7 for two draws;
configs/mnist.py has 5.0 and 4.2 after the same time. The whole run was not made.
"""

from sagan_tf.config import Config


def get_config():
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
