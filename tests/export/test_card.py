import dataclasses
import shlex

import pytest
from absl import flags

from sagan_tf.config import Config, load_preset, preset_names
from sagan_tf.export.card import describe_command, find_source
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags


@pytest.mark.parametrize(
    ("config", "beginning"),
    [
        (load_preset("faces64"), "sagan-tf train --config=faces64"),
        (
            dataclasses.replace(
                load_preset("mnist_conditional"),
                seed=3,
                augmentation=("color", "translation"),
                horizontal_flip=True,
            ),
            "sagan-tf train --config=mnist_conditional --horizontal_flip --augm",
        ),
        (Config(image_size=32, channels=1, width=24), "sagan-tf train --config="),
    ],
)
def test_the_command_of_a_card_gives_the_same_settings(config, beginning):
    command = describe_command(config)
    assert command.startswith(beginning)
    values = flags.FlagValues()
    define_config_flags(values)
    parse_flags(values, shlex.split(command)[2:])
    own, other = (
        dataclasses.replace(c, workdir=None, data_dir=None)
        for c in (config, config_from_flags(values))
    )
    assert own.differences(other) == {}


def test_the_data_of_every_preset_have_an_origin():
    for name in preset_names():
        config = load_preset(name)
        known = "Say here" not in find_source(config).text
        assert known == (config.dataset != "folder"), name
