import numpy as np


def interpolate(points, steps, method="spherical", closed=False):
    """A path from each point to the next.

    `"linear"` goes straight. `"spherical"` turns from one direction to the other at an
    even pace while the length changes evenly
    ([White, 2016](https://arxiv.org/abs/1609.04468)): the points of a straight path
    between normal latents are shorter than any the generator was trained on.

    Args:
        points: Float `[points, ..., dimensions]`, two or more points.
        steps: Integer from 2, points of the path from one point to the next, both of
            them counted.
        method: `"spherical"` or `"linear"`.
        closed: Boolean, whether the path ends one step before the first point, so that
            it can be gone through over and over.

    Returns:
        float32 `[length, ..., dimensions]`, `length` being
        `(points - 1) * (steps - 1) + 1`, or `points * (steps - 1)` if closed.
    """
    points = np.asarray(points, np.float64)
    ends = np.concatenate([points[1:], points[:1]]) if closed else points[1:]
    fractions = np.linspace(0, 1, steps)[:-1]
    between = _turn if method == "spherical" else _go_straight
    path = [
        between(start, end, fraction)
        for start, end in zip(points, ends, strict=False)
        for fraction in fractions
    ]
    if not closed:
        path.append(points[-1])
    return np.stack(path).astype(np.float32)


def _go_straight(start, end, fraction):
    return (1 - fraction) * start + fraction * end


def _turn(start, end, fraction):
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (start, end)]
    # What has no length has no direction either, and none to turn from.
    first, last = (
        x / np.where(length > 0, length, 1)
        for x, length in zip((start, end), lengths, strict=True)
    )
    angle = np.arccos(np.clip((first * last).sum(-1, keepdims=True), -1, 1))
    # Between opposite directions there is no one way, between equal ones no turn.
    sine = np.where(np.sin(angle) > 1e-6, np.sin(angle), 1)
    turned = (
        np.sin((1 - fraction) * angle) * first + np.sin(fraction * angle) * last
    ) / sine
    turned = np.where(np.sin(angle) > 1e-6, turned, first)
    return turned * _go_straight(*lengths, fraction)
