import keras
import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.demo.pictures import Pictures
from sagan_tf.errors import UserError
from sagan_tf.models.builders import build_sagan
from sagan_tf.run import Run
from sagan_tf.visualization.attention import trace_attention


@pytest.fixture
def run():
    keras.utils.set_random_seed(0)
    config = Config(
        image_size=32,
        channels=1,
        width=8,
        conditional=True,
        classes=("a", "b", "c"),
        workdir="runs/x",
    )
    return Run(config, build_sagan(config))


def test_an_image_is_a_function_of_seed_truncation_class_and_number(run):
    pictures = Pictures(run)
    first = pictures.generate(3, 0.7, "b", 5)
    expected = run.generate(5, seed=3, truncation=0.7, labels="b")
    np.testing.assert_array_equal([np.asarray(p) for p in first], expected[..., 0])
    large = np.asarray(pictures.enlarge(3, 0.7, "b", 5))
    assert large.shape == (512, 512, 3)
    np.testing.assert_array_equal(large[::16, ::16, 0], expected[4, ..., 0])
    random = pictures.generate(3, 1, None, 2)
    expected = run.generate(2, seed=3)
    np.testing.assert_array_equal([np.asarray(p) for p in random], expected[..., 0])
    assert pictures.find_pixel(511, 16) == (31, 1)


def test_a_pixels_attention_is_outlined_and_lit(run):
    shown = Pictures(run).attend(0, 1.0, "a", 2, x=31, y=0)
    captions = [caption for _, caption in shown]
    assert [caption.partition(".")[0] for caption in captions] == [
        *("Generator 16×16", "Discriminator 8×8", "Discriminator 4×4"),
    ]
    latents = run.sampler.latents(2)[1:]
    (maps,) = trace_attention(run.generator, latents, np.array([0]))
    peak = maps.scores[0, 15].max()
    assert captions[0].endswith(f"{peak:.1%}, {peak * 256:.0f} times a uniform score")
    picture = np.asarray(shown[0][0])
    assert (picture[1, 512 - 31] == 255).all()  # the outline, at the upper right


def test_a_path_leads_from_one_image_to_another(run):
    pictures = Pictures(run)
    for position, number in ((0, 1), (100, 2)):
        end = np.asarray(pictures.between(1, 1.0, None, 1, 2, position)).astype(int)
        image = np.asarray(pictures.enlarge(1, 1.0, None, number)).astype(int)
        assert abs(end - image).max() <= 1
    middle = np.asarray(pictures.between(1, 1.0, None, 1, 2, 50))
    assert (middle != end).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed must be a number from 0 to 2147483647. Received: -1"),
        ({"seed": 1.5}, "seed must be an integer. Received: 1.5"),
        ({"seed": None}, "seed must be a number"),
        ({"seed": True}, "seed must be a number"),
        ({"truncation": float("nan")}, "truncation must be a number from 0 to 2"),
        ({"truncation": "1"}, "truncation must be a number"),
        ({"label": "z"}, "class must be one of a, b, c. Received: 'z'"),
        ({"label": "9" * 5000}, "class must be one of a, b, c. Received: '9999"),
        ({"label": {"a": [1]}}, "class must be one of a, b, c"),
        ({"number": 65}, "image must be a number from 1 to 64"),
        ({"x": 32}, "column must be a number from 0 to 31"),
        ({"y": -1}, "row must be a number"),
    ],
)
def test_arguments_out_of_range_are_refused(run, change, message):
    arguments = {
        "seed": 0,
        "truncation": 1.0,
        "label": "a",
        "number": 1,
        "x": 0,
        "y": 0,
    }
    with pytest.raises(UserError, match=message):
        Pictures(run).attend(**{**arguments, "x": 0, "y": 0, **change})


def test_the_number_of_images_is_bounded(run):
    for count in (0, 65, 10**12):
        with pytest.raises(UserError, match="must be a number from 1 to 64"):
            Pictures(run).generate(0, 1.0, None, count)
