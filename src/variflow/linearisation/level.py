"""Linearise a level of the pyramid around a flow: warp the second frame, and find the pixels that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.caching import cached_property
from variflow.base.types import Array
from variflow.frames.pyramid import Level
from variflow.images.resampling import Planes
from variflow.images.warping import Interpolation, warp_planes
from variflow.linearisation.linearisation import Derivative, Derived, Linearisation

# The parts of a linearisation that the core computes from the frames, C planes each.
FROM_FRAMES = ("It", "Ix", "Iy", "Ixx", "Ixy", "Iyy", "Ixt", "Iyt")


class LevelLinearisation(Linearisation):
    """A linearisation of a level of the pyramid, whose parts are computed when they are first read.

    Few parts are read: the core computes the terms that it knows straight from the frames, and filters need little.
    """

    pyramid_level: Level
    interpolation: Interpolation
    with_misfit: bool
    unknowns: Any
    values: dict[str, Any] | None

    def __init__(
        self,
        level: Level,
        flow: tuple[Planes, Planes],
        derivative: Derivative,
        interpolation: Interpolation,
        with_misfit: bool,
        further: tuple[Planes, ...] = (),
        unknowns: Any = None,
        values: dict[str, Any] | None = None,
    ) -> None:
        self._keep(
            further=further,
            unknowns=unknowns,
            values=values,
            pyramid_level=level,
            with_misfit=with_misfit,
            frame0=level.frame0.planes,
            second=level.frame1.planes,
            flow=flow,
            derivative=derivative,
            interpolation=interpolation,
            noise=level.noise,
            level=level.index,
            scale=level.scale,
        )

    def copy(self) -> CopiedLinearisation:
        """Return a linearisation of copies, for a user's function, which may write into them."""
        return CopiedLinearisation(self)

    def compute_constancy_tensor(self, constancies: list[_core.Constancy]) -> Planes:
        """Return the motion tensor (5, H, W) of terms that the core linearises itself."""
        tensor, *misfit = _core.constancy_tensor(self.pair, constancies, self.with_misfit)
        self._note(*misfit)
        return tensor

    def robust_step(
        self,
        constancies: list[_core.Constancy],
        data: list[_core.DataTerm],
        smoothness: _core.Smoothness,
        sweeps: int,
        omega: float,
        cycles: int = 0,
    ) -> tuple[Planes, Planes]:
        """Return the flow after a step of data terms and a smoothness, in one pass.

        With `cycles`, these are multigrid cycles, each with so many sweeps on the finest grid.
        """
        step = _core.Step(self.pair, constancies, data, smoothness)
        (u, v), *misfit = _core.robust_step(step, sweeps, omega, cycles, self.with_misfit)
        self._note(*misfit)
        return u, v

    def filter_frames(self, function: Callable[..., Array], *settings: float) -> tuple[Array, Array]:
        """Return a function of both frames, which the level keeps for its further warps."""
        kept, key = self.pyramid_level.filtered, (function, *settings)
        if key not in kept:
            kept[key] = super().filter_frames(function, *settings)
        return kept[key]

    def compute_planes(self, names: tuple[str, ...]) -> Planes:
        """Return parts that are derivatives of the frames, by their names: C planes of each, in one array."""
        planes: Planes = _core.frame_planes(self._valid_pair, names)
        return planes

    def measure_mismatch(self, floor: float) -> Planes:
        """Return what `mismatch` is if gradients change by at least `floor` per pixel, 0 where `valid` is False."""
        mismatch: Planes = _core.mismatch(self._valid_pair, floor)[0]
        return mismatch

    def compute(self, names: tuple[str, ...]) -> None:
        """Compute several parts at once, by their names, except those that are known."""
        unknown = tuple(name for name in names if name not in self.__dict__)
        if unknown:
            planes = self.compute_planes(unknown)
            self._keep(**dict(zip(unknown, planes.reshape(len(unknown), -1, *planes.shape[1:]), strict=True)))

    def _compute_part(self, part: Derived) -> Array:
        if part.name == "mismatch":
            return _core.mismatch(self.pair, _core.mismatch_floor)[0]
        return self.compute_planes((part.name,)) if part.name in FROM_FRAMES else super()._compute_part(part)

    @property
    def pair(self) -> _core.FramePair:
        """The frames, the flow along which the core compares them, and the weights of the data."""
        return self._make_pair(self._counts)

    @property
    def _valid_pair(self) -> _core.FramePair:
        """The frames and the flow as in `pair`, but every pixel that is valid counts 1."""
        return self._make_pair(self._usable)

    def _make_pair(self, weights: Planes | None) -> _core.FramePair:
        u, v = self.flow
        return _core.FramePair(
            self.frame0,
            self.second,
            self.samples,
            u,
            v,
            weights,
            self.interpolation,
            self.derivative,
            self.pyramid_level.part.whole,
        )

    def _note(self, difference: Planes | None, mismatch: Planes | None) -> None:
        """Keep the temporal difference and the mismatch if the core returned them."""
        if difference is not None and self.complete:
            self._keep(It=difference)
        if mismatch is not None:
            self._keep(mismatch=mismatch[0])

    @property
    def samples(self) -> Planes:
        """The samples to interpolate when the second frame is warped, (C, H, W)."""
        return self.pyramid_level.spline if self.interpolation == "spline" else self.second

    @property
    def complete(self) -> bool:
        """Whether every pixel of both frames is usable and counts 1."""
        return self.pyramid_level.frame0.complete and self.pyramid_level.frame1.complete

    @cached_property
    def frame1(self) -> Planes:
        """The second frame warped, (C, H, W)."""
        warped: Planes = _core.warp_second(self._make_pair(None))
        return warped

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Where the pixel is usable, and its target lies inside the second frame and is usable there."""
        valid = find_inside(self.flow)
        if self._usable is not None:
            valid &= self._usable != 0
        return valid

    @cached_property
    def weights(self) -> Planes:
        """How much the data at each pixel count."""
        inside = _mark_inside(self.flow)
        return inside if self._counts is None else inside * self._counts

    @cached_property
    def _usable(self) -> Planes | None:
        """1 where the pixel is usable, and its target if that lies inside, else 0; None if all are."""
        return _multiply(self.pyramid_level.frame0.usable, self._usable_at_target)

    @cached_property
    def _counts(self) -> Planes | None:
        """How much the pixel counts if its target lies inside; None if all count 1."""
        first, second = self.pyramid_level.frame0, self.pyramid_level.frame1
        if second.complete:
            return first.counts
        at_target = _multiply(self._usable_at_target, self._look_up_at_target(second.weights))
        return _multiply(first.counts, at_target)

    @cached_property
    def _usable_at_target(self) -> Planes | None:
        usable = self.pyramid_level.frame1.usable
        return None if usable is None else (self._look_up_at_target(usable) > 0.999).astype(np.float32)

    @cached_property
    def guide(self) -> Planes:
        """The first frame in CIE Lab: L from 0 to 100, and of colours a and b within about 100 of 0."""
        return self.pyramid_level.guide

    def _look_up_at_target(self, plane: Planes) -> Planes:
        """Return a plane of the second frame at the targets of the flow."""
        looked_up: Planes = warp_planes(plane[None], self.flow, "bilinear")[0]
        return looked_up


class CopiedLinearisation(Linearisation):
    """A linearisation whose parts are copies, each made when it is first read."""

    def __init__(self, at: Linearisation) -> None:
        self._keep(_at=at, derivative=at.derivative, noise=at.noise, level=at.level, scale=at.scale)
        self._keep(further=_copy(at.further))

    def __getattr__(self, name: str) -> Array:
        if name not in (field.name for field in fields(self)):
            return super().__getattr__(name)
        copied = _copy(getattr(self._at, name))
        self._keep(**{name: copied})
        return copied

    def _compute_part(self, part: Derived) -> Array:
        return _copy(getattr(self._at, part.name))


def _copy(arrays: Array) -> Array:
    if isinstance(arrays, tuple):
        return tuple(map(_copy, arrays))
    return arrays if isinstance(arrays, int) else np.array(arrays)


def linearise(
    level: Level,
    flow: tuple[Planes, Planes],
    *,
    derivative: Derivative,
    interpolation: Interpolation,
    with_misfit: bool = False,
    further: tuple[Planes, ...] = (),
    unknowns: Any = None,
    values: dict[str, Any] | None = None,
) -> LevelLinearisation:
    """Return the linearisation of a level around the flow so far.

    With `with_misfit`, a native step also computes ``It`` and ``mismatch``, which takes less time than to compute
    them afterwards. For solvers it holds the `unknowns` that are sought in place of the flow, and their `values`.
    """
    return LevelLinearisation(level, flow, derivative, interpolation, with_misfit, further, unknowns, values)


def _multiply(first: Planes | None, second: Planes | None) -> Planes | None:
    """Return the product of two planes, of which None stands for one of ones."""
    if first is None or second is None:
        return second if first is None else first
    return first * second


def find_inside(flow: tuple[Planes, Planes]) -> NDArray[np.bool_]:
    """Return where the target of a flow ``(u, v)`` lies within the frame, (H, W)."""
    within: NDArray[np.bool_] = _mark_inside(flow) != 0
    return within


def _mark_inside(flow: tuple[Planes, Planes]) -> Planes:
    u, v = map(np.ascontiguousarray, flow)
    plane: Planes = _core.inside(u, v)[0]
    return plane
