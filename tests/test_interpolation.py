import numpy as np
import pytest

from sagan_tf.interpolation import interpolate


def points(count=2, *shape):
    return np.random.default_rng(0).normal(size=(count, *shape, 8))


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_goes_through_every_point(method):
    corners = points(3, 4)
    path = interpolate(corners, 5, method)
    assert path.shape == (9, 4, 8) and path.dtype == np.float32
    np.testing.assert_allclose(path[::4], corners, atol=1e-6)


def test_a_linear_path_is_straight_and_even():
    corners = points()
    path = interpolate(corners, 5, "linear")
    np.testing.assert_allclose(
        path[1], 0.75 * corners[0] + 0.25 * corners[1], atol=1e-6
    )
    steps = np.diff(path, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-6)


def test_a_spherical_path_turns_evenly_and_keeps_its_length():
    corners = points() * [[1.0], [3.0]]
    path = interpolate(corners, 7)
    lengths = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(
        lengths, np.linspace(*np.linalg.norm(corners, axis=1), 7), rtol=1e-5
    )
    directions = path / lengths[:, None]
    angles = np.arccos((directions[1:] * directions[:-1]).sum(1))
    np.testing.assert_allclose(angles, angles[0], rtol=1e-3)
    # In the plane of the two ends.
    assert np.linalg.matrix_rank(path, tol=1e-5) == 2


def test_between_equal_points_it_stays():
    path = interpolate(np.ones((2, 8)), 4)
    np.testing.assert_allclose(path, 1, atol=1e-6)


def test_what_has_no_length_is_gone_to_straight():
    end = points(1)[0]
    path = interpolate(np.stack([0 * end, end]), 3)
    np.testing.assert_allclose(path[0], 0)
    assert np.isfinite(path).all()
    assert (interpolate(np.zeros((2, 8)), 3) == 0).all()


def test_a_closed_path_comes_back():
    corners = points(3)
    path = interpolate(corners, 5, closed=True)
    assert len(path) == 12
    np.testing.assert_allclose(path[8], corners[2], atol=1e-6)
    # One step more would be the first point again.
    again = interpolate(corners[[2, 0]], 5)
    np.testing.assert_allclose(path[8:], again[:-1], atol=1e-6)
