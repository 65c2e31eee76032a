"""The coarse levels, on the whole frames: reduce both frames block by block, and estimate their flow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from variflow.base.brief import Brief
from variflow.base.types import Numbers
from variflow.driver import iterate_problem
from variflow.frames.light import Light
from variflow.frames.pyramid import Excerpt, estimate_noise, list_sizes
from variflow.frames.sampling import Valid
from variflow.images.resampling import Planes, resample_flow
from variflow.images.windows import Part, Window
from variflow.matching.search import MOST_PIXELS
from variflow.model import Model
from variflow.problem import Problem, choose_finest
from variflow.start.from_model import FromModel
from variflow.start.start import Initialiser, Start
from variflow.tiling.pair import Pair, Unit
from variflow.tiling.reducing import Reduction

# The coarse levels end below this share of the size: what is occluded is found at about half the size, in tiles.
_LARGEST = 0.35


@dataclass(frozen=True, eq=False, repr=False)
class Coarse(Brief):
    """What the coarse levels found, and what all tiles share.

    Attributes
    ----------
    flow : pair of (h, w) float32
        The flow of the whole frames at the last of the coarse levels, in its pixels.
    level : int
        Which level of the pyramid that is.
    unit : Unit
        The common unit of intensity.
    noise : float
        The standard deviation of the noise, in that unit; 0 if it was not estimated.
    light : Light, optional
        How the light of the frames differs.
    matched : bool
        Whether the estimate started from matches.
    """

    flow: tuple[Planes, Planes]
    level: int
    unit: Unit
    noise: float
    light: Light | None
    matched: bool

    def find_flow(self, part: Part) -> tuple[Planes, Planes]:
        """Return the flow of a part of the frames at any size, in pixels of that size."""
        return resample_flow(self.flow, part, of=Part.all(self.flow[0].shape))


class Given(Initialiser):
    """Starts where it is told."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def start(self, problem: Problem) -> Start:
        """Return that start."""
        return self._start


def choose_level(sizes: list[tuple[int, int]], side: int) -> int:
    """Return the finest level that has at most as many pixels as a square, of those well below half the size."""
    return _find_level(sizes, min(side**2, _LARGEST**2 * math.prod(sizes[0])))


def _find_level(sizes: list[tuple[int, int]], pixels: float) -> int:
    """Return the finest level that has at most so many pixels, or else the coarsest."""
    return next((level for level, size in enumerate(sizes) if math.prod(size) <= pixels), len(sizes) - 1)


def estimate_whole(pair: Pair, model: Model, unit: Unit) -> Coarse:
    """Estimate all levels of frames that are no larger than a tile."""
    window = Window(0, 0, *pair.size)
    images = pair.read_images((window, window), unit)
    problem = Problem(images, model)
    if not all(valid is None or valid.any() for valid in images.valids):
        return Coarse(_rest(pair.size), 0, unit, 0.0, None, matched=False)
    *_, state = iterate_problem(problem, FromModel())
    return Coarse(problem.bring(state.position, 0).flow, 0, unit, 0.0, None, matched=False)


def _rest(size: tuple[int, int]) -> tuple[Planes, Planes]:
    u, v = np.zeros((2, *size), np.float32)
    return u, v


def estimate_coarse(
    pair: Pair, model: Model, unit: Unit, side: int, sample: tuple[list[Numbers], list[Valid]]
) -> Coarse:
    """Estimate the coarse levels of the whole frames, and find what all tiles share; `side` as in `choose_level`."""
    patches = pair.make_images(*sample, unit)
    noisy = model.noise == "estimated"
    noise = estimate_noise(patches.prepare(model.channels)) if noisy else 0.0
    sizes = list_sizes(pair.size, factor=model.factor, coarsest=model.coarsest)
    level = choose_level(sizes, side)
    # What fills gaps and what is matched depends on the size at which the frames are seen.
    seen = min(level, _find_level(sizes, max(side**2, MOST_PIXELS)))
    reduction = Reduction(pair, unit, sizes[: seen + 1], model.presmoothing)
    images = reduction.reduce_frames()
    if not all(valid is None or valid.any() for valid in images.valids):
        return Coarse(_rest(sizes[level]), level, unit, noise, None, matched=False)
    excerpt = Excerpt([Part.all(size) for size in sizes[seen:]], pair.size, reduction.make_guide)
    coarse_model = _make_coarse_model(model, seen, level, choose_finest(model.finest, sizes))
    problem = Problem(images, coarse_model, noise=noise, excerpt=excerpt)
    start = FromModel().start(problem)
    *_, state = iterate_problem(problem, Given(start))
    light = None if state.light is None else _bring_light(state.light, pair, unit)
    if light is not None and noisy:
        noise = estimate_noise(patches.prepare(model.channels, light))
    return Coarse(problem.bring(state.position, level - seen).flow, level, unit, noise, light, start.unseen > 0)


def _make_coarse_model(model: Model, seen: int, level: int, finest: int) -> Model:
    """Return the model that ends at a level, for frames that are one already; the whole estimate ends at `finest`."""
    last = max(finest, level)
    warps = tuple(model.warps_at(last + further, finest=finest) for further in range(len(np.atleast_1d(model.warps))))
    return replace(model, warps=warps, finest=last - seen, presmoothing=0.0)


def _bring_light(light: Light, pair: Pair, unit: Unit) -> Light:
    """Return the light that was measured on reduced frames, for the frames as they came."""
    low, high = unit.intensity_range
    offset = light.offset * (high - low) + low * (1 - light.gain)
    (least, most), (least_of_second, most_of_second) = pair.find_extremes(unit)
    return Light(
        light.gain,
        offset,
        np.maximum(least, light.gain * least_of_second + offset),
        np.minimum(most, light.gain * most_of_second + offset),
    )
