import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.visualization import neighbors
from sagan_tf.visualization.neighbors import find_nearest, write_neighbors


def measure(image, others):
    """Returns the root mean square difference of an image's pixels from each other."""
    difference = others.astype(float) - image
    return np.sqrt((difference**2).mean(axis=(1, 2, 3)))


def test_finds_the_nearest_and_their_distances(monkeypatch):
    monkeypatch.setattr(neighbors, "_CHUNK", 7)  # 30 others in several parts
    random = np.random.default_rng(0)
    images, others = (random.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (5, 30))
    others[11] = images[2]
    indices, distances = find_nearest(images, others, 3)
    for image, own_indices, own in zip(images, indices, distances, strict=True):
        expected = measure(image, others)
        np.testing.assert_array_equal(own_indices, np.argsort(expected)[:3])
        np.testing.assert_allclose(own, np.sort(expected)[:3], atol=1e-5)
    assert indices[2, 0] == 11 and distances[2, 0] < 1e-5
    # A mirrored copy counts only if asked for.
    others[5] = images[3, :, ::-1]
    assert find_nearest(images, others, 1)[1][3] > 10
    indices, distances = find_nearest(images, others, 3, flipped=True)
    assert indices[3, 0] == 5 and distances[3, 0] < 1e-5
    assert indices[2, 0] == 11 and distances[2, 0] < 1e-5
    assert len(set(indices[3])) == 3


@pytest.fixture
def run(monkeypatch):
    """A run with 30 training images of 4 px; its samples are noise, but the first two.

    Sample 0 is training image 11 and sample 1 is training image 1 mirrored.
    """
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (30, 4, 4, 1), np.uint8)
    samples = random.integers(0, 256, (250, 4, 4, 1), np.uint8)
    samples[:2] = real[11], real[1, :, ::-1]
    monkeypatch.setattr(neighbors, "load_images", lambda config: (real, None))
    return SimpleNamespace(
        config=Config(),
        real=real,
        samples=samples,
        generate=lambda count, seed: samples[seed : seed + count],
    )


def test_each_row_is_a_sample_and_its_neighbors(run, tmp_path):
    path = tmp_path / "new" / "neighbors.png"
    written = write_neighbors(run, path, num_images=3, neighbors=2)
    with Image.open(path) as picture:
        grid = np.asarray(picture).reshape(3, 4, 4, 4).swapaxes(1, 2)
    for sample, (shown, gap, *nearest) in zip(run.samples[:3], grid, strict=True):
        np.testing.assert_array_equal(shown, sample[..., 0])
        assert (gap == 255).all()
        order = np.argsort(measure(sample, run.real))[:2]
        np.testing.assert_array_equal(nearest, run.real[order, ..., 0])
    np.testing.assert_array_equal(grid[0, 2], run.real[11, ..., 0])
    # The distances are those of 200 samples, whatever is shown.
    nearest = [measure(sample, run.real).min() for sample in run.samples[:200]]
    real_nearest = [np.sort(measure(image, run.real))[1] for image in run.real]
    assert written.path == path
    assert written.sample_distance == pytest.approx(np.median(nearest))
    assert written.real_distance == pytest.approx(np.median(real_nearest))
    assert written.smallest_sample_distance == pytest.approx(np.min(nearest))
    assert written.smallest_real_distance == pytest.approx(np.min(real_nearest))
    assert written[1:] == write_neighbors(run, path, 1, 1)[1:]
    assert written[1:] != write_neighbors(run, path, 3, 2, seed=50)[1:]


def test_duplicates_of_training_images_are_no_measure_of_copies(run, tmp_path):
    run.real[[3, 4, 9]] = run.real[[20, 20, 8]]
    written = write_neighbors(run, tmp_path / "a.png", 1, 1)
    distances = [measure(image, run.real) for image in run.real]
    real_nearest = [own[own > 0].min() for own in distances]
    assert written.smallest_real_distance == pytest.approx(np.min(real_nearest))
    assert written.real_distance == pytest.approx(np.median(real_nearest))
    assert written.num_duplicates == 5  # 3, 4, 8, 9 and 20
    run.real[:] = run.real[0]
    written = write_neighbors(run, tmp_path / "a.png", 1, 1)
    assert written.smallest_real_distance == written.real_distance == 0


def test_mirrored_training_images_count_in_runs_that_flip(run, tmp_path):
    run.config = dataclasses.replace(run.config, horizontal_flip=True)
    write_neighbors(run, tmp_path / "a.png", num_images=2, neighbors=1)
    with Image.open(tmp_path / "a.png") as picture:
        nearest = np.asarray(picture)[4:, 8:]
    np.testing.assert_array_equal(nearest, run.real[1, ..., 0])


def test_wrong_outputs_and_too_many_neighbors_are_errors(run, tmp_path):
    with pytest.raises(UserError, match="takes FILE.png. Received: a.gif"):
        write_neighbors(run, "a.gif")
    with pytest.raises(UserError, match="--neighbors=30 must be below .* images, 30"):
        write_neighbors(run, tmp_path / "a.png", neighbors=30)
    assert not list(tmp_path.iterdir())
