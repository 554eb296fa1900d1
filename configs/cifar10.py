"""python train.py --dataset=cifar10

CIFAR-10 at 32 px with classes. Networks and recipe are PyTorch-StudioGAN's SAGAN (2022:
FID 10.35, IS 8.64) as MMGeneration reproduced it without in-place ReLUs: FID 9.43. The
numbers are from its configuration
`sagan_32_woReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1`:

- generator channels 256-256-256, discriminator channels 128 four times, attention at
  16x16 in both;
- spectral normalization with epsilon 1e-6 of all layers and of the tables of
  conditional batch norm, whose epsilon is 1e-4;
- orthogonal initializer, except for these tables, which have Glorot's here;
- batch-norm momentum (0.9 as in Keras) and Adam's epsilon (1e-8): PyTorch's defaults;
- hinge loss, batch size 64, five discriminator updates per step, 100,000 steps;
- Adam with learning rate 2e-4 for both networks, betas 0.5 and 0.999;
- no augmentation, and no EMA in the published score. The EMA is computed here, with
  decay 0.999, because it costs nothing and its samples vary less from step to step.

Expected on a GPU: the published score. The whole run was not made, and no score is
claimed for it; docs/results.md has the commands, and the row that is to be filled.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="cifar10",
        image_size=32,
        channels=3,
        architecture="resnet",
        conditional=True,
        width=64,
        latent_dim=128,
        generator_attention_resolutions=(16,),
        discriminator_attention_resolutions=(16,),
        spectral_norm_epsilon=1e-6,
        conditional_spectral_normalization=True,
        initializer="orthogonal",
        batch_norm_epsilon=1e-4,
        batch_size=64,
        steps=100_000,
        loss="hinge",
        discriminator_steps=5,
        generator_learning_rate=2e-4,
        discriminator_learning_rate=2e-4,
        beta_1=0.5,
        beta_2=0.999,
        sample_interval=1000,
        checkpoint_interval=1000,
    )
