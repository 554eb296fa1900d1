"""python train.py --dataset=cifar10

CIFAR-10 by class at 32 px. Networks and recipe are PyTorch-StudioGAN's SAGAN (2022:
FID 10.35, IS 8.64) as MMGeneration ran it again without ReLUs in place: FID 9.43. From
its configuration `sagan_32_woReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1`: generator
256-256-256, discriminator 128 four times, attention at 16x16 in both, spectral
normalization with epsilon 1e-6 on all layers and on the tables of conditional batch
norm, whose epsilon is 1e-4; orthogonal start, of all but these tables, which start by
Glorot's rule here; batch norm's momentum (0.9 in Keras' terms) and Adam's epsilon
(1e-8) are PyTorch's defaults; hinge; batch 64, five discriminator updates a step,
100,000 steps; Adam 2e-4 for both, betas 0.5 and 0.999; no augmentation, no moving
average in the figure. The average is kept here all the same, with decay 0.999, because
it costs nothing and its samples are calmer.

Train on a GPU. No figure is claimed for the whole run, which was not made. Its first
steps were, with 10,000 of the training images, in mixed_bfloat16 on two CPU cores; FID
by `--evaluation_interval=100`, the classifier's, of 2,000 images:

    step    0    100   200   300   400   500   600   700   800   900  1,000
    FID   197.4  85.0  54.6  34.9  31.1  21.8  18.3  15.1  12.5  10.6   7.6

The classifier of these was trained for 1,500 batches, come what may. By the present
one, which ends where images held out gain no more, the last figure is 5.9.
"""

from sagan_tf.config import Config


def get_config():
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
