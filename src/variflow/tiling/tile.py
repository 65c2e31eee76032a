"""The fine levels of one tile: it goes on from the flow of the whole frames."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.errors import mute_warnings
from variflow.driver import iterate_problem
from variflow.frames.pyramid import Excerpt, list_sizes
from variflow.images.windows import Part, Window
from variflow.model import Model
from variflow.problem import Problem, choose_finest
from variflow.start.start import UNSEEN, Start
from variflow.tiling.coarse import Coarse, Given
from variflow.tiling.pair import Pair

# Windows begin and end at multiples of so many pixels, and that of the second frame is moved by such multiples. These
# are whole pixels of most levels; and grids of the solver, which double their pixels, lie as in the whole frames.
_STEP = 32
# The same for windows of coarse levels, in pixels of the level.
_STEP_OF_LEVEL = 4


def choose_window(tile: Window, margin: int, size: tuple[int, int]) -> Window:
    """Return the window that is read for a tile of frames of a size."""
    return tile.grow(margin, size, _STEP)


def estimate_tile(pair: Pair, coarse: Coarse, model: Model, tile: Window, margin: int) -> NDArray[np.float32]:
    """Return the flow of a tile, ``(h, w, 2)``, from a window with a margin around it.

    Both frames are read in the same window, as long as what it shows stays within half the margin. Where it moves
    farther, the window of the second frame is moved along, and the margin grows by what the motion differs within it.
    """
    sizes = list_sizes(pair.size, factor=model.factor, coarsest=model.coarsest)
    if coarse.level <= max(choose_finest(model.finest, sizes), 0):
        return _core.interleave(*coarse.find_flow(Part(tile, pair.size)))
    around = choose_window(tile, margin, pair.size)
    flow = coarse.find_flow(Part(around, pair.size))
    shift = [_choose_shift(component, margin / 2) for component in flow]
    rest = max(float(np.abs(component - by).max()) for component, by in zip(flow, shift, strict=True))
    if rest > margin / 2:
        around = choose_window(tile, margin + math.ceil(rest), pair.size)
    images = pair.read_images((around, around.move(*shift)), coarse.unit)
    if not all(valid is None or valid.any() for valid in images.valids):
        return _core.interleave(*coarse.find_flow(Part(tile, pair.size)))
    excerpt = _make_excerpt(around, sizes[: coarse.level + 1])
    same = replace(model, light="same")
    problem = Problem(images, same, light=coarse.light, noise=coarse.noise, excerpt=excerpt)
    with mute_warnings():  # the whole frames have warned of what the tiles would warn of
        *_, state = iterate_problem(problem, Given(_choose_start(problem, coarse, shift)))
    rows, columns = tile.within(around)
    found = problem.finish(state.position).make_pairs()
    inner: NDArray[np.float32] = found[rows, columns] + np.array(shift, np.float32)
    return inner


def _choose_shift(component: NDArray[np.float32], most: float) -> int:
    """Return 0 if no displacement is larger than `most`, or else a multiple of a step near their middle."""
    low, high = float(component.min()), float(component.max())
    return 0 if max(-low, high) <= most else _STEP * round((low + high) / (2 * _STEP))


def _make_excerpt(window: Window, sizes: list[tuple[int, int]]) -> Excerpt:
    """Return where a window lies in the frames at each of their sizes."""
    whole = Part(window, sizes[0])
    return Excerpt([_align(whole.bring(size)) for size in sizes], sizes[0])


def _align(part: Part) -> Part:
    """Return the part without its first rows and columns, so that it begins at a multiple of the step."""
    top, left, bottom, right = part.window
    top, left = (-(-first // _STEP_OF_LEVEL) * _STEP_OF_LEVEL for first in (top, left))
    return part._replace(window=Window(min(top, bottom - 1), min(left, right - 1), bottom, right))


def _choose_start(problem: Problem, coarse: Coarse, shift: list[int]) -> Start:
    """Return a start from the coarse flow at the level that comes after the coarse ones."""
    level = problem.levels[max(coarse.level - 1, 0)]
    u, v = coarse.find_flow(level.part)
    (x, y), (by_x, by_y) = level.scale, shift
    planes = u - np.float32(x * by_x), v - np.float32(y * by_y)
    return Start(level.index, planes, UNSEEN * x if coarse.matched else 0.0)
