"""Paths through latent space."""

import numpy as np


def interpolate(
    points: np.ndarray, steps: int, method: str = "spherical", closed: bool = False
) -> np.ndarray:
    """Returns a path from each point to the next.

    `"linear"` (lerp) takes the straight line. `"spherical"` (slerp) rotates from one
    direction to the other at constant speed while the length changes linearly
    ([White, 2016](https://arxiv.org/abs/1609.04468)): points on the straight line
    between two normal latents are shorter than the latents the generator was trained
    on.

    Args:
        points: Float `[points, ..., dimensions]`, two or more points.
        steps: Integer, at least 2: the number of points from one point to the next,
            both included.
        method: `"spherical"` or `"linear"`.
        closed: Boolean, whether the path returns to the first point and ends one step
            before it, so that it can be repeated.

    Returns:
        float32 `[length, ..., dimensions]`, where `length` is
        `(points - 1) * (steps - 1) + 1`, or `points * (steps - 1)` if closed.

    Raises:
        ValueError: if there are fewer than two points or steps.
    """
    points = np.asarray(points, np.float64)
    if steps < 2 or len(points) < 2:
        raise ValueError(
            "A path needs two points or more, and two steps or more between them. "
            f"Received: {len(points)} points, steps={steps}"
        )
    ends = np.concatenate([points[1:], points[:1]]) if closed else points[1:]
    fractions = np.linspace(0, 1, steps)[:-1]
    between = _slerp if method == "spherical" else _lerp
    path = [
        between(start, end, fraction)
        for start, end in zip(points, ends, strict=False)
        for fraction in fractions
    ]
    if not closed:
        path.append(points[-1])
    return np.stack(path).astype(np.float32)


def _lerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    return (1 - fraction) * start + fraction * end


def _slerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (start, end)]
    # A zero vector has no direction.
    first, last = (
        x / np.where(length > 0, length, 1)
        for x, length in zip((start, end), lengths, strict=True)
    )
    angle = np.arccos(np.clip((first * last).sum(-1, keepdims=True), -1, 1))
    # Equal directions need no rotation; between opposite ones it is not defined.
    sine = np.where(np.sin(angle) > 1e-6, np.sin(angle), 1)
    direction = (
        np.sin((1 - fraction) * angle) * first + np.sin(fraction * angle) * last
    ) / sine
    direction = np.where(np.sin(angle) > 1e-6, direction, first)
    return direction * _lerp(lengths[0], lengths[1], fraction)
