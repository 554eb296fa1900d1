"""python train.py --dataset=cifar10

CIFAR-10's 50,000 training pictures at 32 px, without their classes. The networks are
the 64 px seed's tables (configs/celeb_a.py) with one block fewer. Batch, steps, five
discriminator updates, rates and betas are those of PyTorch-StudioGAN's SAGAN on
CIFAR-10, whose FID 10.35 is of a class-conditional residual net and not to be
expected here. Train on a GPU. No figure is claimed for the whole run, which was not
made.
"""

from sagan_tf.config import Config


def get_config():
    return Config(
        dataset="cifar10",
        image_size=32,
        channels=3,
        width=64,
        latent_dim=128,
        generator_attention_resolutions=(16,),
        discriminator_attention_resolutions=(8,),
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
