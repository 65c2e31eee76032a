"""Particles that hardly move, under a sheet of light that moves far."""

import numpy as np
from particles import draw_particles

SHAPE, MOTION = (1152, 1536), (0.4, 0.3)  # motion of the particles along x and y
_COUNT, _OUTSIDE, _DIAMETERS, _BRIGHTNESS, _GROUND, _NOISE = 40_000, 20, (3.2, 5.6), (60, 200), 20, 2
# The sheet is Gaussian across the rows, this wide, and this bright far from its middle; in the second frame it is
# 25 px lower and 10 % brighter.
_WIDTH, _LEAST, _SHEETS = 150, 0.05, ((500, 1.0), (525, 1.1))


def make_pair(seed=0):
    """Return both frames."""
    draw = np.random.default_rng(seed)
    height, width = SHAPE
    x, y = draw.uniform((-_OUTSIDE, -_OUTSIDE), (width + _OUTSIDE, height + _OUTSIDE), (_COUNT, 2)).T
    diameters, brightness = draw.uniform(*_DIAMETERS, _COUNT), draw.uniform(*_BRIGHTNESS, _COUNT)
    rows = np.arange(height)[:, None]
    frames = []
    for (u, v), (middle, gain) in zip(((0, 0), MOTION), _SHEETS, strict=True):
        light = gain * (_LEAST + (1 - _LEAST) * np.exp(-(((rows - middle) / _WIDTH) ** 2)))
        seen = light * (_GROUND + draw_particles(x + u, y + v, brightness, diameters, SHAPE))
        frames.append(np.clip(np.rint(seen + draw.normal(0, _NOISE, SHAPE)), 0, 255).astype(np.uint8))
    return frames
