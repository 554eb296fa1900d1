import numpy as np
import pytest

from sagan_tf.evaluation.gaussian import RunningGaussian


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_the_batch_size_does_not_change_the_moments(batch_size):
    # A mean far from 0: sums of squares would lose half their digits.
    features = np.random.default_rng(0).normal(1e4, 1e-2, (1000, 5))
    running = RunningGaussian()
    for start in range(0, 1000, batch_size):
        running.update(features[start : start + batch_size])
    result = running.result()
    assert result.count == 1000
    np.testing.assert_allclose(result.mean, features.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        result.covariance, np.cov(features, rowvar=False), rtol=1e-6, atol=1e-10
    )


def test_sums_are_in_float64():
    features = np.full((100_000, 2), 0.1, np.float32)
    running = RunningGaussian()
    running.update(features)
    assert running.result().mean[0] == pytest.approx(np.float64(features[0, 0]), 1e-12)
