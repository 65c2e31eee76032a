"""The fine levels of one tile: it goes on from the flow of the whole frames."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.errors import mute_warnings
from variflow.driver import iterate_problem
from variflow.model import Model
from variflow.problem import Problem
from variflow.start.start import UNSEEN, Start
from variflow.tiling.coarse import Coarse, Given
from variflow.tiling.pair import Pair
from variflow.tiling.windows import Window, choose_step


def estimate_tile(pair: Pair, coarse: Coarse, model: Model, tile: Window, margin: int) -> NDArray[np.float32]:
    """Return the flow of a tile, ``(h, w, 2)``, from a window with a margin around it.

    Both frames are read in the same window, as long as what it shows stays within half the margin. Where it moves
    farther, the window of the second frame is moved along, and the margin grows by what the motion differs within it.
    """
    step = choose_step(model.factor)
    around = tile.grow(margin, pair.size, step)
    flow = coarse.find_flow(around, around.shape)
    shift = [_choose_shift(component, margin / 2, step) for component in flow]
    rest = max(float(np.abs(component - by).max()) for component, by in zip(flow, shift, strict=True))
    if rest > margin / 2:
        around = tile.grow(margin + math.ceil(rest), pair.size, step)
    images = pair.read_images((around, around.move(*shift)), coarse.unit)
    if not all(valid is None or valid.any() for valid in images.valids):
        return _core.interleave(*coarse.find_flow(tile, tile.shape))
    problem = Problem(images, replace(model, light="same"), light=coarse.light, noise=coarse.noise)
    with mute_warnings():  # the whole frames have warned of what the tiles would warn of
        *_, state = iterate_problem(problem, Given(_choose_start(problem, coarse, around, shift)))
    rows, columns = tile.within(around)
    found = _core.interleave(*problem.bring(state.position, 0).flow)
    inner: NDArray[np.float32] = found[rows, columns] + np.array(shift, np.float32)
    return inner


def _choose_shift(component: NDArray[np.float32], most: float, step: int) -> int:
    """Return 0 if no displacement is larger than `most`, or else a multiple of a step near their middle."""
    low, high = float(component.min()), float(component.max())
    return 0 if max(-low, high) <= most else step * round((low + high) / (2 * step))


def _choose_start(problem: Problem, coarse: Coarse, window: Window, shift: list[int]) -> Start:
    """Return a start from the coarse flow at the level that comes after those of the reduced frames."""
    least = 1 / (coarse.factor * math.sqrt(problem.model.factor))
    index = max(level.index for level in problem.levels if level.index == 0 or level.scale[0] >= least)
    level = problem.levels[index]
    u, v = coarse.find_flow(window, level.shape)
    (x, y), (by_x, by_y) = level.scale, shift
    planes = u - np.float32(x * by_x), v - np.float32(y * by_y)
    return Start(index, planes, UNSEEN * x if coarse.matched else 0.0)
