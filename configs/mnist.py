"""python train.py --dataset=mnist

The small configuration: the 60,000 training digits of MNIST, padded to 32 px, in about
four minutes on two CPU cores.

Expected: the Frechet distance between 5,000 samples and the test digits, in the 128
features of a small classifier (real training digits: 0.8):

    steps             2,500   5,000   6,500   7,200
    distance           11.5     5.6     4.7     3.8

6,500 steps, which took 239 s, are the steps of this preset. Their distance is the mean
of two draws. The other distances are of another run.

The networks are those of configs/celeb_a.py with one block fewer. The settings come
from these measurements, by the same distance at the same step or after the same time:

- Training time matters most. Attention at 16x16 in both networks, as in
  configs/celeb_a.py, makes a step 2.6 times as long (47 ms instead of 18, at width 16)
  and gains nothing here: 18.4 after 180 s, 6.8 without attention.
- Attention at 8x8 in the generator takes 1.2 times the time and is as good as none at
  the same step (12.8 and 12.3 at step 9,000, with decaying learning rates). It is there
  so that there are attention maps. In the discriminator as well, it is slower and no
  better (11.1 at step 9,000).
- Width 32 instead of 16: a step is 1.7 times as long, but 11.5 at step 2,500 is better
  than 14.7 at step 4,000.
- Batch size 64 instead of 32: 48 instead of 18 after 180 s.
- Both learning rates are 1e-3 and constant. With linear decay to 0 the distance is 12.8
  where constant ones give 8. 2e-3 for both networks (13.0 at step 6,000) or for the
  discriminator alone (13.4) is no better.
- Hinge loss: 12.8, non-saturating loss: 14.4.
- Spectral norm in the discriminator: 12.8 with, 16.7 without. The generator has none,
  to save time.
"""

from sagan_tf.config import Config


def get_config() -> Config:
    return Config(
        dataset="mnist",
        image_size=32,
        channels=1,
        width=32,
        generator_attention_resolutions=(8,),
        discriminator_attention_resolutions=(),
        generator_spectral_normalization=False,
        batch_size=32,
        steps=6500,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.5,
        beta_2=0.999,
        sample_interval=500,
        checkpoint_interval=500,
    )
