"""python train.py --dataset=celeb_a

The best-known 64 px SAGAN, heykeetae/Self-Attention-GAN (PyTorch), on CelebA. Networks,
initializers, hinge loss, Adam with two learning rates (TTUR), batch size, latents, crop
and image size are those of this reference implementation.

Differences, and their reasons:
- Spectral normalization of transposed convolutions uses the output axis, the matrix
  that Miyato et al. mean. The reference implementation uses the input axis;
  --spectral_norm_axis=input does the same.
- Adam's epsilon has PyTorch's value, 1e-8, but is added where Keras adds it.
- Generated images for the discriminator's update are made outside its tape. Samples
  come from the EMA generator in evaluation mode.

Expected: the reference implementation trains for up to 1,000,000 steps. On two CPU
cores a step takes about a second (--precision=mixed_bfloat16 is faster where the
hardware has it), which is enough for a first look only: train on a GPU. The whole run
was not made, and no score is claimed for it. Blurred faces can be recognized after a
few thousand steps.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="celeb_a",
        crop_size=160,
        image_size=64,
        channels=3,
        width=64,
        latent_dim=128,
        generator_attention_resolutions=(16, 32),
        discriminator_attention_resolutions=(8, 4),
        batch_size=64,
        steps=1_000_000,
        loss="hinge",
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.9,
        adam_epsilon=1e-8,
    )
