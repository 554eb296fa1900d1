"""Trains a Self-Attention GAN: python train.py --dataset=celeb_a"""

from pathlib import Path

from absl import flags

from sagan_tf import config
from sagan_tf.commands.main import main

flags.DEFINE_bool("dry_run", False, "Print what would be trained, and train nothing.")
config.define_flags()
flags.adopt_module_key_flags(config)  # so that --help lists them


def train():
    """Resolves the flags and trains."""
    settings = config.config_from_flags(Path(__file__).parent / "configs")
    if flags.FLAGS.dry_run:
        from sagan_tf.training.summary import print_summary

        print_summary(settings)
    else:
        from sagan_tf.training import run

        run(settings)


if __name__ == "__main__":
    main(train)
