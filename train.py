"""Trains a Self-Attention GAN: python train.py --dataset=celeb_a"""

from pathlib import Path

from absl import flags

from sagan_tf.commands.main import main
from sagan_tf.config import config_from_flags, define_flags

flags.DEFINE_bool("dry_run", False, "Print what would be trained, and train nothing.")
define_flags()


def train():
    """Resolves the flags and trains."""
    config = config_from_flags(Path(__file__).parent / "configs")
    if flags.FLAGS.dry_run:
        from sagan_tf.training.summary import print_summary

        print_summary(config)
    else:
        from sagan_tf.training import run

        run(config)


if __name__ == "__main__":
    main(train)
