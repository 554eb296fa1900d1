"""python train.py --dataset=celeb_a_resnet

CelebA at 128 px without classes, with the residual networks of taki0112/
Self-Attention-GAN-Tensorflow (TensorFlow 1): those of the paper with plain batch
normalization, no projection, LeakyReLU 0.2 in the discriminator, 3x3 convolutions with
reflection padding, pooled attention at 32x32, spectral normalization of everything but
the generator's last convolution, Xavier initializer, and uniform latents of 128
numbers. The hinge loss, the learning rates 1e-4 and 4e-4, the betas 0 and 0.9, the
batch-norm momentum, batch size 64 and 1,000,000 steps are those of configs/celeb_a.py.

Differences from the source, and their reasons:
- Images are cropped to their central square of 178 px. The source squashes them, which
  changes their aspect ratio.
- The generator's update has its own latents.
- u of spectral normalization is updated in training only.

Expected: batch size 64 at 128 px needs a GPU. The run was not made, and no score is
claimed for it.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="celeb_a",
        crop_size=178,
        image_size=128,
        channels=3,
        architecture="resnet",
        width=64,
        latent_dim=128,
        latent_distribution="uniform",
        generator_attention_resolutions=(32,),
        discriminator_attention_resolutions=(32,),
        attention="pooled",
        reflection_padding=True,
        discriminator_slope=0.2,
        normalize_to_image=False,
        batch_size=64,
        steps=1_000_000,
        loss="hinge",
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.9,
    )
