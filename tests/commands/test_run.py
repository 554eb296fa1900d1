import pytest
from sagan_tf.commands._run import parse_labels

from sagan_tf.config import Config
from sagan_tf.errors import UserError

CONFIG = Config(
    dataset="folder",
    architecture="resnet",
    conditional=True,
    classes=("cats", "dogs", "7"),
)


def test_labels_are_numbers_or_names_and_repeated():
    assert parse_labels(["dogs", "0"], CONFIG) == [1, 0]
    assert parse_labels(["dogs", "0"], CONFIG, 5) == [1, 0, 1, 0, 1]
    assert parse_labels(["7"], CONFIG) == [2]  # the name goes before the number
    assert parse_labels(None, CONFIG) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["cat"], "no class 'cat'. It has 0 to 2: cats, dogs, 7. Did you mean cats"),
        (["3"], "no class '3'. It has 0 to 2: cats, dogs, 7$"),
        (["-1"], "no class '-1'"),
        ([], "--labels is empty"),
    ],
)
def test_an_unknown_class_is_a_clear_line(values, message):
    with pytest.raises(UserError, match=message):
        parse_labels(values, CONFIG)
