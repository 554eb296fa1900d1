import numpy as np

from sagan_tf.visualization import neighbors
from sagan_tf.visualization.neighbors import find_nearest


def test_finds_the_nearest_and_their_distances(monkeypatch):
    monkeypatch.setattr(neighbors, "_CHUNK", 7)  # 30 others in several parts
    random = np.random.default_rng(0)
    images, others = (random.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (5, 30))
    others[11] = images[2]
    places, distances = find_nearest(images, others, 3)
    for image, own_places, own_distances in zip(images, places, distances, strict=True):
        difference = others.astype(float) - image
        expected = np.sqrt((difference**2).mean(axis=(1, 2, 3)))
        np.testing.assert_array_equal(own_places, np.argsort(expected)[:3])
        np.testing.assert_allclose(own_distances, np.sort(expected)[:3], atol=1e-5)
    assert places[2, 0] == 11 and distances[2, 0] < 1e-5
    # A mirrored copy is one too, if mirror images count.
    others[5] = images[3, :, ::-1]
    assert find_nearest(images, others, 1)[1][3] > 10
    places, distances = find_nearest(images, others, 3, mirrored=True)
    assert places[3, 0] == 5 and distances[3, 0] < 1e-5
    assert places[2, 0] == 11 and distances[2, 0] < 1e-5
    assert len(set(places[3])) == 3
