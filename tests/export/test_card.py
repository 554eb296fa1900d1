from sagan_tf.config import load_preset, preset_names
from sagan_tf.export.card import find_source


def test_the_data_of_every_preset_have_an_origin():
    for name in preset_names():
        config = load_preset(name)
        known = "Say here" not in find_source(config).text
        assert known == (config.dataset != "folder"), name
