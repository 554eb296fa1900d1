"""python train.py --dataset=imagenet128

The paper's network with classes on ImageNet at 128 px, with the recipe that has the
best published score for it: FID 12.83, IS 69.5, of BigGAN-PyTorch's script
`launch_SAGAN_bs128x2_ema.sh` as MMGeneration reproduced it. The numbers are from its
configuration `sagan_128_woReLUinplace_noaug_bigGAN_Glr-1e-4_Dlr-4e-4_ndisc1_imagenet1k_
b32x8`:

- attention after the generator's fourth and the discriminator's first block, at 64x64;
- spectral normalization with epsilon 1e-8, but not of the tables of conditional batch
  norm, whose epsilon is 1e-5 and whose statistics are not shared among devices;
- Xavier initializer;
- Adam with learning rates 1e-4 (generator) and 4e-4 (discriminator), betas 0 and 0.999;
- one discriminator update per step; batch size 256 (32 on each of 8 devices); 1,000,000
  steps; hinge loss;
- no horizontal flip or other augmentation;
- EMA of the generator with decay 0.999 from step 2,000, used for the published score;
- the shortcuts of residual blocks get x itself, not ReLU(x) of an in-place ReLU.

The batch-norm momentum is not given there; it is PyTorch's default (0.9 as in Keras).
Adam's epsilon is PyTorch's, 1e-8. One difference remains: the gains of conditional
batch norm start at 1; there, a Xavier draw is added to them.

The images come from TensorFlow Datasets' `imagenet2012`, whose two archives must be
downloaded by hand (its page says how), or from a folder of class folders:
`--config=imagenet128 --dataset=folder --data_dir=DIR`. At 128 px they take 59 GiB.

Expected on several GPUs, or with --accumulation_steps=8 on one: the published score.
The run was not made, and no score is claimed for this code; docs/results.md has the
commands, and the row that is to be filled. On a CPU, a step with 8 images takes 4.2 GiB
in total in float32 and 4.0 in mixed_bfloat16.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="imagenet2012",
        image_size=128,
        channels=3,
        architecture="resnet",
        conditional=True,
        width=64,
        latent_dim=128,
        generator_attention_resolutions=(64,),
        discriminator_attention_resolutions=(64,),
        attention="pooled",
        spectral_norm_epsilon=1e-8,
        initializer="xavier",
        batch_norm_momentum=0.9,
        batch_norm_epsilon=1e-5,
        batch_size=256,
        steps=1_000_000,
        loss="hinge",
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.999,
        adam_epsilon=1e-8,
        ema_decay=0.999,
        ema_start_step=2000,
        sample_interval=1000,
        checkpoint_interval=1000,
    )
