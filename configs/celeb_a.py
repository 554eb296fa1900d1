"""python train.py --dataset=celeb_a

The 64 px SAGAN that most people know, heykeetae/Self-Attention-GAN (PyTorch), number
by number: networks, start, hinge loss, Adam and its two rates (TTUR), batch, latents,
crop and size are the seed's.

Where this differs from the seed, and why:
- Transposed convolutions are spectrally normalized over their output axis, the
  matrix that Miyato et al. mean. The seed takes the input axis;
  --spectral_norm_axis=input does as it did.
- Adam's epsilon is Keras' place for it with PyTorch's value, 1e-8.
- Fakes are made outside the discriminator's tape, and the samples are the moving
  average's, in evaluation mode.

The seed trains for up to 1,000,000 steps. On two CPU cores a step takes about a
second (--precision=mixed_bfloat16 is faster where the hardware has it), which is for
a look only: train on a GPU. No figure is claimed for the whole run, which was not
made; blurred faces can be told after a few thousand steps.
"""

from sagan_tf.config import Config


def get_config():
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
