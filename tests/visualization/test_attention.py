import keras
import numpy as np
import pytest

from sagan_tf.layers import SelfAttention
from sagan_tf.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from sagan_tf.models.network import Network
from sagan_tf.visualization.attention import (
    AttentionMaps,
    choose_points,
    draw_attention_sheet,
    find_query,
    overlay_scores,
    spread_scores,
    trace_attention,
)


def build(network, *shapes):
    network.build(*shapes)
    for variable in network.variables:
        if "gamma" in variable.path and variable.shape == ():
            variable.assign(0.7)
    return network


def latents(dimensions):
    return np.random.default_rng(0).normal(size=(3, dimensions)).astype("float32")


def images(size, channels):
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (3, size, size, channels)).astype("float32")


LABELS = np.array([0, 2, 1], np.int32)
NETWORKS = {
    "dcgan generator": lambda: (
        build(DCGANGenerator(64, 3, 8, 16), (None, 16)),
        (latents(16),),
    ),
    "dcgan discriminator": lambda: (
        build(DCGANDiscriminator(64, 3, 8), (None, 64, 64, 3)),
        (images(64, 3),),
    ),
    "infogan generator": lambda: (
        build(InfoGANGenerator(width=4), (None, 62)),
        (latents(62),),
    ),
    "infogan discriminator": lambda: (
        build(InfoGANDiscriminator(width=4), (None, 28, 28, 1)),
        (images(28, 1),),
    ),
    "resnet generator": lambda: (
        build(
            ResNetGenerator(32, 3, 4, 16, num_classes=3, attention_resolutions=(8, 16)),
            (None, 16),
        ),
        (latents(16), LABELS),
    ),
    "resnet discriminator": lambda: (
        build(
            ResNetDiscriminator(32, 3, 16, num_classes=3, attention="full"),
            (None, 32, 32, 3),
        ),
        (images(32, 3), LABELS),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_the_scores_of_the_layers(name):
    network, inputs = NETWORKS[name]()
    _, expected = network(*inputs, return_attention_scores=True)
    traced = trace_attention(network, *inputs)
    assert [maps.name for maps in traced] == list(expected)
    for maps in traced:
        np.testing.assert_allclose(maps.scores, expected[maps.name], atol=1e-6)
        assert np.prod(maps.queries) == maps.scores.shape[1]
        assert np.prod(maps.keys) == maps.scores.shape[2]
        assert maps.effect.shape == (3,) and (maps.effect > 0).all()


def test_the_effect_is_the_norm_of_the_added_term():
    network, inputs = NETWORKS["dcgan discriminator"]()
    layer, x = next(
        (layer, x)
        for layer, x, _, _ in network.walk(*inputs)
        if isinstance(layer, SelfAttention)
    )
    added = (layer(x) - x).numpy().reshape(3, -1)
    expected = np.linalg.norm(added, axis=1) / np.linalg.norm(
        x.numpy().reshape(3, -1), axis=1
    )
    first = trace_attention(network, *inputs)[0]
    np.testing.assert_allclose(first.effect, expected, rtol=1e-4)
    layer.gamma.assign(0.0)
    assert (trace_attention(network, *inputs)[0].effect == 0).all()


def test_small_effects_are_not_rounded_away_in_half_precision():
    effects = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        try:
            network = build(DCGANDiscriminator(32, 3, 8), (None, 32, 32, 3))
        finally:
            keras.config.set_dtype_policy("float32")
        for layer in network.stack:
            if isinstance(layer, SelfAttention):
                layer.gamma.assign(1e-4)
        effects.append([m.effect for m in trace_attention(network, images(32, 3))])
    np.testing.assert_allclose(effects[1], effects[0], rtol=0.02)


def test_a_zero_input_has_no_effect():
    network = AttendsToBrightest(1)
    (maps,) = trace_attention(network, np.zeros((1, 32, 32, 1), "float32"))
    assert (maps.effect == 0).all()
    dark = overlay_scores(np.full((4, 4, 1), 100, np.uint8), np.zeros(4), (2, 2))
    np.testing.assert_array_equal(dark, 35)


class AttendsToBrightest:
    """A network with one attention layer. All queries attend to the brightest key."""

    split_inputs, walk = Network.split_inputs, Network.walk

    def __init__(self, pool_size):
        layer = SelfAttention(1, pool_size=pool_size, use_bias=False, name="attention")
        layer.build((None, 8, 8, 1))
        for convolution in (layer.query, layer.key):
            convolution.kernel.assign(np.full((1, 1, 1, 1), 10.0))
        self.stack = [keras.layers.AveragePooling2D(4), layer]


@pytest.mark.parametrize("pool_size", [1, 2])
def test_the_key_that_is_attended_to_lights_up(pool_size):
    inputs = np.full((1, 32, 32, 1), 0.1, "float32")
    row, column = 2, 5  # of 8x8: rows 8 to 11 and columns 20 to 23 of the image
    inputs[0, 8:12, 20:24] = 30.0
    (maps,) = trace_attention(AttendsToBrightest(pool_size), inputs)
    assert maps.keys == (8 // pool_size,) * 2
    key = row // pool_size * maps.keys[1] + column // pool_size
    np.testing.assert_allclose(maps.scores[0, :, key], 1, atol=1e-6)

    image = np.full((32, 32, 3), 100, np.uint8)
    point = (3, 30)
    scores = maps.scores[0, find_query(point, maps, 32)]
    overlay = overlay_scores(image, scores, maps.keys, "#E69F00")
    side = 4 * pool_size
    top, left = row // pool_size * side, column // pool_size * side
    lit = np.zeros((32, 32), bool)
    lit[top : top + side, left : left + side] = True
    assert lit[8:12, 20:24].all()
    np.testing.assert_array_equal(overlay[~lit], 35)
    bright = np.round(0.55 * np.array([0xE6, 0x9F, 0]) + 45)
    np.testing.assert_array_equal(overlay[lit], np.broadcast_to(bright, (side**2, 3)))


def make_maps(queries, keys, scores):
    vectors = np.zeros((len(scores), 0, 0))
    effect = np.ones(len(scores))
    return AttentionMaps("a", queries, keys, scores, vectors, vectors, "keys", effect)


def test_pixels_map_to_queries_and_keys_to_pixels():
    maps = make_maps((4, 4), (2, 2), np.zeros((1, 16, 4)))
    assert find_query((0, 0), maps, 32) == 0
    assert find_query((31, 0), maps, 32) == 3
    assert find_query((8, 23), maps, 32) == 2 * 4 + 1
    spread = spread_scores(np.array([1.0, 2.0, 3.0, 4.0]), (2, 2), 4)
    np.testing.assert_array_equal(
        spread, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    )


def test_points_are_far_apart_and_on_what_stands_out():
    image = np.zeros((32, 32, 1), np.uint8)
    image[6:26, 6:26] = 255
    points = choose_points(image, 5)
    assert len(set(points)) == 5
    for x, y in points:
        assert 5 <= x <= 26 and 5 <= y <= 26
    for i, one in enumerate(points):
        for other in points[:i]:
            assert np.hypot(one[0] - other[0], one[1] - other[1]) >= 6
    assert choose_points(np.full((32, 32, 3), 7, np.uint8), 2)[0] in [
        (x, y) for x in (15, 16) for y in (15, 16)
    ]


def test_a_sheet_has_a_row_per_image_and_a_map_per_point():
    scores = np.full((2, 64, 16), 1 / 16, "float32")
    scores[1] = np.eye(16)[5]  # in the second image all attend to one key
    maps = make_maps((8, 8), (4, 4), scores)
    pictures = np.full((2, 32, 32, 1), 200, np.uint8)
    points = [[(4, 4), (20, 9), (9, 20)]] * 2
    sheet = np.asarray(draw_attention_sheet(pictures, maps, points, "Title"))
    assert sheet.shape == (22 + 2 * 132 - 4, 4 * 132 - 4, 3)
    # A sheet that is narrower than its title is widened to show all of it.
    title = "A title " * 9
    wide = np.asarray(draw_attention_sheet(pictures, maps, [[(4, 4)]] * 2, title))
    assert wide.shape[1] > 2 * 132 - 4
    assert (wide[:22, :-2] < 128).any(axis=(0, 2))[-40:].any()
    assert (wide[:22, -2:] == 255).all()
    # The first point is at 4.5 pixels, enlarged four times, on the image and its map.
    for left in (0, 132):
        assert tuple(sheet[22 + 18, left + 18]) == (0xE6, 0x9F, 0)
    assert tuple(sheet[22 + 100, 10]) == (200, 200, 200)
    # Uniform attention lights all of the map alike.
    lit = sheet[22 + 60 : 22 + 100, 132 + 60 : 132 + 100].reshape(-1, 3)
    assert len(np.unique(lit, axis=0)) == 1 and lit[0, 0] > lit[0, 2]
    # The key in row 1 and column 1 of 4x4, 32 pixels each.
    second = sheet[22 + 132 : 22 + 264, 132:264].astype(int)
    bright = second[32:64, 32:64]
    assert (bright[..., 0] > bright[..., 2]).all()
    np.testing.assert_array_equal(second[70:100, 70:120], 70)
