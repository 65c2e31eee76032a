"""Frames most of which have one value, as rain on a dry map, a mask or a printed page, moved by whole pixels."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SHAPE, MOTION = (256, 256), (4, -2)  # motion along x and y
_WAVES, _PERIODS, _FLAT = 60, (25, 120), 0.7  # the flat share of the frame
_WORDS = ("flow", "energy", "motion", "warp", "level", "pixel", "optical", "field")


def make_pair(kind, seed):
    """Return both frames of one of `KINDS`."""
    return KINDS[kind](np.random.default_rng(seed))


def _coordinates(motion):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    return x - motion[0], y - motion[1]


def _pattern(draw, map_values):
    """Return a sum of random cosines, cut off below a quantile; its values, from 0 up to 1, are mapped."""
    waves = [(draw.uniform(*_PERIODS), *draw.uniform(0, 2 * np.pi, 2)) for _ in range(_WAVES)]
    frames = []
    for motion in ((0, 0), MOTION):
        x, y = _coordinates(motion)
        frames.append(sum(np.cos(2 * np.pi / p * (np.cos(a) * x + np.sin(a) * y) + phase) for p, a, phase in waves))
    least, most = np.quantile(frames[0], _FLAT), max(frame.max() for frame in frames)
    return tuple(map_values(np.clip((frame - least) / (most - least), 0, 1)) for frame in frames)


def _discs(draw):
    discs = [(*draw.uniform(20, 236, 2), draw.uniform(8, 40), draw.uniform(0.2, 1)) for _ in range(8)]
    frames = []
    for motion in ((0, 0), MOTION):
        x, y = _coordinates(motion)
        frame = np.zeros(SHAPE)
        for middle_x, middle_y, radius, value in discs:
            covered = np.clip(radius - np.hypot(x - middle_x, y - middle_y) + 0.5, 0, 1)
            frame += covered * (value - frame)
        frames.append(frame)
    return tuple(frames)


def _text(draw):
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for _ in range(9):
        figure.text(*draw.uniform((0, 0.05), (0.7, 0.95)), draw.choice(_WORDS), fontsize=draw.integers(10, 40))
    canvas.draw()
    page = np.asarray(canvas.buffer_rgba())[..., 0].astype(float)
    top, left = ((length - size) // 2 for length, size in zip(page.shape, SHAPE, strict=True))

    def cut(x, y):
        return page[top - y : top - y + SHAPE[0], left - x : left - x + SHAPE[1]]

    return cut(0, 0), cut(*MOTION)


KINDS = {
    "pattern": lambda draw: _pattern(draw, lambda values: values),
    "mask": lambda draw: _pattern(draw, lambda values: (values > 0).astype(float)),
    "7 steps": lambda draw: _pattern(draw, lambda values: np.ceil(6 * values) / 6),
    "-32 in the flat part": lambda draw: _pattern(draw, lambda values: np.where(values > 0, 60 * values, -32.0)),
    "NaN in the flat part": lambda draw: _pattern(draw, lambda values: np.where(values > 0, values, np.nan)),
    "discs": _discs,
    "text": _text,
}
