"""python train.py --dataset=celeb_a_resnet

CelebA at 128 px without classes, by the residual networks of taki0112/
Self-Attention-GAN-Tensorflow (TensorFlow 1): those of the paper with plain batch norm,
no projection, LeakyReLU 0.2 in the discriminator, 3x3 convolutions padded by
reflection, pooled attention at 32x32, spectral normalization on everything but the
generator's last convolution, Xavier start, uniform latents of 128 numbers. Hinge, rates
1e-4 and 4e-4, betas 0 and 0.9, batch norm's momentum, batch 64 and 1,000,000 steps are
configs/celeb_a.py's.

Where this differs from its source, and why: pictures are cropped to their central
square of 178 px, there their aspect is squashed; the generator's update has latents of
its own; u moves in training alone.

Batch 64 at 128 px wants a GPU. No figure is claimed for the run, which was not made.
"""

from sagan_tf.config import Config


def get_config():
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
