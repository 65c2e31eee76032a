"""The coarse levels, on the whole frames: reduce both frames block by block, and estimate their flow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import Numbers
from variflow.driver import iterate_problem
from variflow.filters import Filter
from variflow.frames.checking import Images
from variflow.frames.frame import Frame
from variflow.frames.light import Light
from variflow.frames.pyramid import estimate_noise, find_valid
from variflow.frames.sampling import Valid
from variflow.images.resampling import Planes, resample
from variflow.linearisation.linearisation import Linearisation
from variflow.model import Model
from variflow.problem import Problem
from variflow.start.from_model import FromModel
from variflow.start.start import Initialiser, Start
from variflow.tiling.pair import Pair, Unit
from variflow.tiling.windows import Window

# A block of a reduced frame is made of about so many pixels of the frame in each direction.
_BLOCK = 1024
# The filter of a reduced pixel reaches less far than this many reduced pixels.
_REACH = 4


@dataclass(frozen=True, eq=False, repr=False)
class Coarse(Brief):
    """What the coarse levels found, and what all tiles share.

    Attributes
    ----------
    flow : (2, h, w) float32
        The flow of the reduced frames, in their pixels.
    factor : int
        By how much the frames were reduced.
    unit : Unit
        The common unit of intensity.
    noise : float
        The standard deviation of the noise, in that unit; 0 if it was not estimated.
    light : Light, optional
        How the light of the frames differs.
    matched : bool
        Whether the estimate started from matches.
    """

    flow: Planes
    factor: int
    unit: Unit
    noise: float
    light: Light | None
    matched: bool

    def find_flow(self, window: Window, shape: tuple[int, int]) -> tuple[Planes, Planes]:
        """Return the flow in a window at a size, in pixels of that size; beyond the rim it goes on as at the rim."""
        height, width = window.shape
        along_y = self._make_taps(window.top, height, shape[0])
        along_x = self._make_taps(window.left, width, shape[1])
        u, v = _core.resample(self.flow, *along_y, *along_x)
        return u * np.float32(self.factor * shape[1] / width), v * np.float32(self.factor * shape[0] / height)

    def _make_taps(self, first: int, size: int, new_size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return, for each new pixel, the first reduced pixel it looks at, and the weights of that and the next."""
        position = (first + (np.arange(new_size) + 0.5) * (size / new_size)) / self.factor - 0.5
        whole = np.floor(position)
        share = position - whole
        return whole.astype(np.int32), np.stack([1 - share, share], axis=1).astype(np.float32)


class Given(Initialiser):
    """Starts where it is told."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def start(self, problem: Problem) -> Start:
        """Return that start."""
        return self._start


def choose_factor(size: tuple[int, int], side: int) -> int:
    """Return the power of two, at least 2, by which frames are reduced to at most as many pixels as a square has."""
    pixels = math.prod(size) / side**2
    return int(max(2, 2 ** math.ceil(0.5 * math.log2(pixels)))) if pixels > 1 else 2


def reduce_pair(pair: Pair, unit: Unit, factor: int) -> Images:
    """Return both frames reduced by a factor, in the common unit; as the levels of a pyramid are made of a frame."""
    height, width = (-(-length // factor) for length in pair.size)
    channels = pair.sources[0].channels
    planes = [np.empty((channels, height, width), np.float32) for _ in pair.sources]
    shares = [np.ones((height, width), np.float32) for _ in pair.sources]
    for block in pair.list_blocks(factor * math.ceil(_BLOCK / factor)):
        around = block.grow(_REACH * factor, pair.size, factor)
        frames = _prepare(pair.read_images((around, around), unit))
        place = Window(*(-(-edge // factor) for edge in block))
        inner = place.within(Window(*(-(-edge // factor) for edge in around)))
        for number, frame in enumerate(frames):
            reduced, share = _reduce(frame, factor)
            rows, columns = place.within(Window(0, 0, height, width))
            planes[number][:, rows, columns] = reduced[:, *inner]
            shares[number][rows, columns] = share[inner]
    valids = [None if share.min() >= 1 else find_valid(share) for share in shares]
    images: list[Numbers] = [np.ascontiguousarray(np.moveaxis(each, 0, 2)) for each in planes]
    return Images(images, valids, [None, None], (0.0, 1.0), unit.chosen, [], pair.names)


def _prepare(images: Images) -> tuple[Frame, Frame]:
    """Return frames in their unit, 0 where nothing is known."""
    frames = images.prepare()
    first, second = (
        frame if frame.complete or frame.valid.any() else replace(frame, planes=np.zeros_like(frame.planes))
        for frame in frames[:2]
    )
    return first, second


def _reduce(frame: Frame, factor: int) -> tuple[Planes, Planes]:
    """Return the planes of a frame reduced by a factor, and the known share of each pixel; the rim is repeated."""
    height, width = frame.valid.shape
    more = [(0, -height % factor), (0, -width % factor)]
    planes = np.pad(frame.planes, [(0, 0), *more], mode="edge") if any(map(any, more)) else frame.planes
    shape = planes.shape[1] // factor, planes.shape[2] // factor
    reduced = resample(planes, shape, kernel="cubic")
    if frame.complete:
        return reduced, np.ones(shape, np.float32)
    known = np.pad(frame.known, more, mode="edge")
    return reduced, resample(known[None], shape, kernel="linear")[0]


def estimate_coarse(
    pair: Pair, model: Model, unit: Unit, factor: int, sample: tuple[list[Numbers], list[Valid]]
) -> Coarse:
    """Estimate the flow of the reduced frames, and find what all tiles share."""
    patches = pair.make_images(*sample, unit)
    noisy = model.noise == "estimated"
    noise = estimate_noise(patches.prepare(model.channels)) if noisy else 0.0
    images = reduce_pair(pair, unit, factor)
    if not all(valid is None or valid.any() for valid in images.valids):
        still = np.zeros((2, *images.shape), np.float32)
        return Coarse(still, factor, unit, noise, None, matched=False)
    problem = Problem(images, _make_coarse_model(model, factor), noise=noise / factor)
    start = FromModel().start(problem)
    *_, state = iterate_problem(problem, Given(start))
    flow = np.stack(problem.bring(state.position, 0).flow)
    light = None if state.light is None else _bring_light(state.light, pair, unit)
    if light is not None and noisy:
        noise = estimate_noise(patches.prepare(model.channels, light))
    return Coarse(flow, factor, unit, noise, light, start.unseen > 0)


def _make_coarse_model(model: Model, factor: int) -> Model:
    """Return the model for the reduced frames, whose levels are the coarse levels of the whole frames.

    Where the whole frames would have been smoothed, the reduced ones are, too, in their own pixels.
    """
    finer = round(math.log(factor) / math.log(1 / model.factor))
    warps = tuple(model.warps_at(finer + level) for level in range(len(np.atleast_1d(model.warps))))
    flow_filter = None if model.filter is None else _OfReduced(model.filter, factor)
    return replace(model, warps=warps, finest=0, presmoothing=model.presmoothing / factor, filter=flow_filter)


@dataclass(frozen=True)
class _OfReduced:
    """A filter that is told the size of a level relative to the whole frames, not to the reduced ones."""

    filter: Filter
    factor: int

    def __call__(self, flow: tuple[Planes, Planes], at: Linearisation) -> tuple[Planes, Planes]:
        x, y = at.scale
        return self.filter(flow, at.with_planes(scale=(x / self.factor, y / self.factor)))


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
