import pytest

from sagan_tf.text import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (float("nan"), "-"),
        (0, "0 s"),
        (119.4, "119 s"),
        (312, "5.2 min"),
        (7300, "2.0 h"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
