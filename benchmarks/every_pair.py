"""How models take what is given beside the frames, and what hardly changes them, on every pair at hand."""

import statistics
from dataclasses import dataclass, field

import numpy as np
from samples import errors, samples

import variflow
from variflow.datasets.texture import Texture

MOVED = 0.1  # a pixel has changed if its flow moves by more (px)
# Frames that grow, turn and are sheared: where a point of the first is in the second, around the middle.
TURN = np.deg2rad(4)
MATRICES = {
    "growth": np.array([[1.05, 0.0], [0.0, 1.05]]),
    "rotation": np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]]),
    "shear": np.array([[1.0, 0.05], [0.0, 1.0]]),
}
SHAPE = (240, 320)


def _add_noise(first, second):
    draw = np.random.default_rng(0)
    return tuple(frame + draw.normal(0, 0.1, frame.shape) for frame in (first.astype(float), second.astype(float)))


def _lose_corner(first, second):
    holed = first.astype(float)
    holed[0, 0] = np.nan
    return holed, second


def _round(first, second):
    return tuple((frame / np.float32(255) * np.float32(0.731)).astype(np.float32) for frame in (first, second))


CHANGES = {"noise": _add_noise, "a missing corner": _lose_corner, "rounding": _round}
STARTS = ("the truth", "its own result")


@dataclass
class Measured:
    """What one model makes of all pairs.

    `errors` has them for each data set (px); `rises` for each start, and `moved` for each change, what became of each
    pair: by how much the error rose (%), and how many pixels moved (%) with by how much the error changed (%).
    """

    errors: dict = field(default_factory=dict)
    rises: dict = field(default_factory=lambda: {name: {} for name in STARTS})
    moved: dict = field(default_factory=lambda: {name: {} for name in CHANGES})


def measure(model, data):
    """Return what a model makes of every pair of every data set in a folder."""
    measured = Measured()
    for name, pairs in samples(data):
        for sample in pairs:
            frames = sample.frame0, sample.frame1
            flow = variflow.estimate(*frames, model).flow
            error = errors(flow, sample)[0]
            measured.errors.setdefault(name, []).append(error)

            def rise(other, sample=sample, error=error):
                return 100 * (errors(other, sample)[0] / error - 1)

            pair = f"{name} {sample.name}"
            truth = np.where(np.isfinite(sample.flow), sample.flow, np.nan).astype(np.float32)
            for start, init in zip(STARTS, (truth, flow), strict=True):
                measured.rises[start][pair] = rise(variflow.estimate(*frames, model, init=init).flow)
            for change, apply in CHANGES.items():
                other = variflow.estimate(*apply(*frames), model).flow
                apart = np.hypot(*np.moveaxis(other - flow, 2, 0))
                measured.moved[change][pair] = 100 * float((apart > MOVED).mean()), rise(other)
    for name, matrix in MATRICES.items():
        measured.errors[name] = [_find_error_of_affine_motion(model, matrix)]
    return measured


def _find_error_of_affine_motion(model, matrix):
    """Return the mean error (px) on a texture moved by a matrix around its middle."""
    rows, columns = np.indices(SHAPE).astype(float)
    middle = np.array(SHAPE[::-1]) / 2
    away = np.stack([columns, rows], axis=-1) - middle
    texture = Texture(seed=3)
    back = away @ np.linalg.inv(matrix).T + middle
    places = (columns, rows), (back[..., 0], back[..., 1])
    first, second = (np.rint(255 * texture(x, y)).astype(np.uint8) for x, y in places)
    flow = variflow.estimate(first, second, model).flow
    return float(np.hypot(*np.moveaxis(flow - (away @ matrix.T - away), 2, 0)).mean())


def find_worst(of_pairs):
    """Return the largest value and the pair it is of."""
    pair = max(of_pairs, key=of_pairs.get)
    return of_pairs[pair], pair


def find_disorder(faster, slower):
    """Return by how much the error of the slower model is above that of the faster one at most (%), and where."""
    return find_worst(
        {
            name: 100 * (statistics.fmean(slower.errors[name]) / statistics.fmean(faster.errors[name]) - 1)
            for name in faster.errors
        }
    )
