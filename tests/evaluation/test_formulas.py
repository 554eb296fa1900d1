"""The formulas against their definitions, written out again, and the prdc package."""

import tracemalloc

import numpy as np
import pytest
from prdc import compute_prdc
from scipy import linalg

from sagan_tf.evaluation import formulas
from sagan_tf.evaluation.formulas import (
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from sagan_tf.evaluation.gaussian import Gaussian, RunningGaussian


def make_features(seed, count=300, dimensions=8, shift=0.0):
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(dimensions, dimensions))
    return random.normal(size=(count, dimensions)) @ mixing + shift


def gaussian(features):
    running = RunningGaussian()
    running.update(features)
    return running.result()


REAL, FAKE = make_features(0), make_features(2, count=250, shift=0.7) * 1.2


def test_frechet_distance_equals_its_definition():
    covariances = [np.cov(x, rowvar=False) for x in (REAL, FAKE)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((REAL.mean(0) - FAKE.mean(0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * root
    )
    actual = frechet_distance(gaussian(REAL), gaussian(FAKE))
    assert actual == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_by_hand():
    # In one dimension: (m1 - m2)^2 + (s1 - s2)^2.
    one = Gaussian(9, np.array([1.0]), np.array([[4.0]]))
    other = Gaussian(9, np.array([3.0]), np.array([[25.0]]))
    assert frechet_distance(one, other) == pytest.approx(4 + 9, rel=1e-12)


def test_frechet_distance_of_a_set_to_itself_is_zero():
    scale = np.trace(gaussian(REAL).covariance)
    assert abs(frechet_distance(gaussian(REAL), gaussian(REAL))) < 1e-9 * scale
    # ReLU features that are always 0 make the covariance singular.
    idle = np.concatenate([REAL, np.zeros((len(REAL), 3))], axis=1)
    assert abs(frechet_distance(gaussian(idle), gaussian(idle))) < 1e-9 * scale


def test_scores_get_worse_with_noise():
    noise = np.random.default_rng(3).normal(size=REAL.shape)
    distances, kernels, precisions = [], [], []
    for strength in (0.1, 1.0, 3.0, 10.0):
        noisy = REAL + strength * noise
        distances.append(frechet_distance(gaussian(REAL), gaussian(noisy)))
        kernels.append(kernel_distance(REAL, noisy, subsets=1, subset_size=300)[0])
        precisions.append(precision_recall(REAL, noisy)[0])
    assert distances == sorted(distances) and distances[0] < 0.1 * distances[-1]
    # The first noise is too weak to differ from chance.
    assert kernels[1:] == sorted(kernels[1:])
    assert precisions == sorted(precisions, reverse=True)
    assert precisions[0] > 0.95 and precisions[-1] < 0.1


def test_kernel_distance_equals_its_definition():
    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    real, fake = REAL[:20], FAKE[:20]
    n = len(real)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    expected = (
        sum(kernel(real[i], real[j]) for i, j in pairs if i != j) / (n * (n - 1))
        + sum(kernel(fake[i], fake[j]) for i, j in pairs if i != j) / (n * (n - 1))
        - 2 * sum(kernel(real[i], fake[j]) for i, j in pairs) / n**2
    )
    mean, deviation = kernel_distance(real, fake, subsets=3, subset_size=n)
    assert mean == pytest.approx(expected, rel=1e-9)
    # Every subset is the whole set.
    assert deviation == pytest.approx(0, abs=1e-9 * abs(expected))


def test_kernel_distance_of_subsets_approximates_that_of_the_sets():
    whole, _ = kernel_distance(REAL, FAKE, subsets=1, subset_size=250)
    mean, deviation = kernel_distance(REAL, FAKE, subsets=200, subset_size=60, seed=5)
    assert deviation > 0
    assert abs(mean - whole) < 4 * deviation / np.sqrt(200) + 0.05 * whole
    assert (mean, deviation) == kernel_distance(REAL, FAKE, 200, 60, seed=5)
    assert (mean, deviation) != kernel_distance(REAL, FAKE, 200, 60, seed=6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("neighbors", [1, 3, 5])
def test_precision_recall_density_coverage_equal_prdc(neighbors, dtype):
    real, fake = REAL.astype(dtype), FAKE.astype(dtype)
    expected = compute_prdc(real, fake, nearest_k=neighbors)
    precision, recall = precision_recall(real, fake, neighbors)
    density, coverage = density_coverage(real, fake, neighbors)
    actual = dict(
        precision=precision, recall=recall, density=density, coverage=coverage
    )
    assert 0 < precision < 1 and 0 < recall < 1 and 0 < coverage < 1
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_on_the_edge_of_a_ball_are_outside_as_in_prdc(dtype):
    random = np.random.default_rng(0)
    # Many distances of grid points are equal, and exact.
    real, fake = (random.integers(0, 4, (n, 4)).astype(dtype) for n in (200, 150))
    expected = compute_prdc(real, fake, nearest_k=5)
    precision, recall = precision_recall(real, fake, 5)
    density, coverage = density_coverage(real, fake, 5)
    assert expected == dict(
        precision=precision,
        recall=recall,
        density=pytest.approx(density),
        coverage=coverage,
    )
    assert 0 < precision < 1 and 0 < recall < 1


def test_inception_score_by_hand():
    # k for confident predictions spread evenly over k classes; 1 for equal ones.
    assert inception_score(np.eye(4), splits=1)[0] == pytest.approx(4, rel=1e-12)
    same = np.tile([0.2, 0.8], (10, 1))
    assert inception_score(same, splits=2) == pytest.approx((1, 0), abs=1e-12)


def test_inception_score_equals_its_definition():
    logits = np.random.default_rng(0).normal(size=(60, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scores = []
    for part in np.split(p, 3):
        divergences = [(row * np.log(row / part.mean(0))).sum() for row in part]
        scores.append(np.exp(np.mean(divergences)))
    expected = np.mean(scores), np.std(scores)
    assert inception_score(p, splits=3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_do_not_keep_one_another_alive(monkeypatch, dtype):
    """The sizes of chunks change nothing, and a reduced chunk owns its memory."""
    real, fake = REAL.astype(dtype), FAKE.astype(dtype)
    whole = precision_recall(real, fake), density_coverage(real, fake)
    monkeypatch.setattr(formulas, "_CHUNK_MIB", 0.01)  # four rows
    assert (precision_recall(real, fake), density_coverage(real, fake)) == whole
    assert formulas._at_rank(2)(np.random.rand(5, 7)).base is None


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("precision_recall", 128),
        ("density_coverage", 128),
        ("kernel_distance", 2048),
    ],
)
def test_distances_of_all_pairs_are_never_in_memory_at_once(name, features):
    random = np.random.default_rng(0)
    real, fake = (
        random.standard_normal((12_000, features), np.float32) for _ in range(2)
    )
    tracemalloc.start()  # NumPy reports its arrays to it
    try:
        scores = getattr(formulas, name)(real, fake)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(-1 < score < 2 for score in scores)
    assert peak < 200 * 2**20  # bytes; all distances are 549 MiB
