"""The problem that an estimate solves: two frames, checked, and a model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow import solve
from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.base.types import ArrayLike
from variflow.energy import Energy
from variflow.energy.directions import (
    check_reversible,
    check_reversible_unknowns,
    reverse_energy,
    reverse_unknowns,
)
from variflow.energy.levels import bring_to_level, list_arrays
from variflow.energy.term import Term
from variflow.frames.checking import Images, check_frames
from variflow.frames.frame import Frames
from variflow.frames.light import Light
from variflow.frames.pyramid import Excerpt, Level, enlarge, pyramid
from variflow.images.resampling import FoundFlow, Planes, resample_flow
from variflow.linearisation.comparison import Comparison
from variflow.linearisation.level import LevelLinearisation, linearise
from variflow.model import Model
from variflow.solve.minimum import NativeSolver
from variflow.solve.taking_apart import flat
from variflow.unknowns.position import Position
from variflow.unknowns.unknowns import Place, Unknowns, Values, carry_values, make_planes, start_values

if TYPE_CHECKING:
    from variflow.energy.autodiff.programs import Call

# The backward estimate starts from a flow that is nearly right, so this share of the warps is enough.
_SHARE_OF_WARPS = 1 / 3

# A level whose shorter side has fewer pixels is too small to end at.
_LARGE_ENOUGH = 64
# Gaps are a pattern if the frames have less than this part of the usable pixels that they have at the next size. There
# a pixel between them is usable, and one in a hole is not.
_HARDLY_PATTERNED = 0.9
# Between them nothing can be compared if less than the first share of the pixels can be, but more than the second at
# the next size. (Where that has few, too, the gaps are wide, and the flow between is best at the full size.)
_HARDLY_COMPARED, _COMPARED = 0.05, 0.15


def may_crop(model: Model) -> bool:
    """Return whether a part of the frames is enough: arrays, functions and unknowns may know places in the whole."""
    if model.is_plain:
        return True
    terms = [term for term, _ in flat(model.energy, 1.0)]
    held = any(True for _ in list_arrays(model.energy))
    return model.unknowns is None and not held and all(isinstance(term, Term) for term in terms)


def choose_finest(wanted: int, sizes: list[tuple[int, int]]) -> int:
    """Return the level to end at, of levels of these sizes, where level 0 or a coarser one is wanted."""
    large = [index for index, size in enumerate(sizes) if min(size) >= _LARGE_ENOUGH]
    return min(wanted, max(large, default=0))


def _measure_compared(level: Level) -> float:
    """Return about which share of the pixels is usable and has a usable target, which lies between four pixels."""
    first, second = level.frame0.valid, level.frame1.valid
    around = second[:-1, :-1] & second[1:, :-1] & second[:-1, 1:] & second[1:, 1:]
    return float(first.mean() * around.mean())


def pose(
    frame0: ArrayLike,
    frame1: ArrayLike,
    model: Model,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    *,
    alone: bool = False,
) -> Problem:
    """Return the problem of two frames, which are checked as `check_frames` says."""
    images = check_frames(frame0, frame1, mask, weights, intensity_range, alone=alone, cut=partial(may_crop, model))
    return Problem(images, model)


@dataclass(frozen=True, eq=False, repr=False)
class Problem(Brief):
    """Two frames and a model.

    Attributes
    ----------
    images : Images
        The frames as given, checked.
    model : Model
        What is minimised, and how.
    light : Light, optional
        How the light of the frames differs. They are compared in the light of the first frame.
    prepared : (Frames, list of Level), optional
        The frames in a common unit and their pyramid, if they are known already.
    noise : float, optional
        The standard deviation of the noise of the frames, in their common unit, if it is known already.
    excerpt : Excerpt, optional
        How the frames lie in larger ones, if they are a part of others, or a smaller size of them.
    """

    images: Images
    model: Model
    light: Light | None = None
    prepared: tuple[Frames, list[Level]] | None = None
    noise: float | None = None
    excerpt: Excerpt | None = None

    @cached_property
    def frames(self) -> Frames:
        """The frames in a common unit."""
        return self.prepared[0] if self.prepared else self.images.prepare(self.model.channels, self.light)

    @cached_property
    def levels(self) -> list[Level]:
        """The pyramid, from the size of the frames on."""
        return self.prepared[1] if self.prepared else self._build_pyramid(self.frames)

    def find_level(self, index: int) -> Level:
        """Return a level of the pyramid, or, for -1, the one that is finer than the frames."""
        return self.levels[index] if index >= 0 else self._enlarged

    @cached_property
    def finest(self) -> int:
        """The level at which an estimate ends: that of the model, but for small frames and those with gaps.

        Of small frames fewer levels are left out than the model says, because at small levels there is little to see.
        And between missing rows, say, nothing finer than the frames is to be seen; only what they were filled with. If
        no target is usable between them, the size of the frames is left out, too.
        """
        chosen = choose_finest(self.model.finest, [level.part.whole for level in self.levels])
        return chosen if self.model.finest > 0 or len(self.levels) < 2 else max(chosen, self._find_finest_seen())

    def _find_finest_seen(self) -> int:
        """Return the finest level at which gaps leave something to see: -1, 0 or 1."""
        fine, coarse = self.levels[:2]
        pairs = (fine.frame0, coarse.frame0), (fine.frame1, coarse.frame1)
        shares = [(frame.valid.mean(), other.valid.mean()) for frame, other in pairs if not frame.complete]
        if not any(share < _HARDLY_PATTERNED * of_coarse for share, of_coarse in shares):
            return -1
        return 1 if _measure_compared(fine) < _HARDLY_COMPARED and _measure_compared(coarse) > _COMPARED else 0

    @cached_property
    def _enlarged(self) -> Level:
        model = self.model
        return enlarge(self.frames, self.levels[0], factor=model.factor, presmoothing=model.presmoothing)

    def linearise(
        self, level: Level, flow: tuple[Planes, Planes] | Position, *, with_misfit: bool = False
    ) -> LevelLinearisation:
        """Linearise the frames of a level around a flow ``(u, v)`` of its size, or where an estimate stands."""
        position = flow if isinstance(flow, Position) else Position(level.index, flow)
        return linearise(
            level,
            position.flow,
            derivative=self.model.derivative,
            interpolation=self.model.interpolation,
            with_misfit=with_misfit,
            further=position.further,
            unknowns=None if position.values is None else self._bring_unknowns(level.index),
            values=position.values,
        )

    def bring(self, position: Position, index: int) -> Position:
        """Return where an estimate stands at another level; what has no values yet starts from its flow."""
        old, new = self.find_level(position.level).part, self.find_level(index).part
        unknowns = self._bring_unknowns(index)
        if unknowns is None:
            if position.level < index:  # back from a finer level, whose motion edges stay sharp
                return Position(index, resample_flow(position.flow, new, blur=0.0, of=old))
            return Position(index, resample_flow(position.flow, new, of=old))
        at = self._find_place(index)
        if position.values is None:
            values = start_values(unknowns, resample_flow(position.flow, new, of=old), at)
        elif position.level == index:
            return position
        else:
            values = carry_values(unknowns, position.values, position.flow, self._find_place(position.level), at)
        return self.stand(values, index)

    def finish(self, position: Position) -> FoundFlow:
        """Return the flow of an estimate that ends at a position."""
        position = position if position.values is None else self.bring(position, 0)
        return FoundFlow(position.flow, self.find_level(position.level).part, self.levels[0].part)

    def stand(self, values: Values, index: int) -> Position:
        """Return where an estimate stands with some values at a level."""
        unknowns = self._bring_unknowns(index)
        if unknowns is None:
            return Position(index, (values["u"], values["v"]))
        u, v, *further = make_planes(unknowns, values, self._find_place(index))
        return Position(index, (u, v), values, tuple(further))

    def change_flow(self, position: Position, flow: tuple[Planes, Planes]) -> Position:
        """Return where an estimate stands once its flow has been changed; only where any flow is possible."""
        if self.model.unknowns is None or position.values is None:
            return replace(position, flow=flow)
        return self.stand(self.model.unknowns.replace_flow(position.values, flow), position.level)

    def _bring_unknowns(self, index: int) -> Unknowns | None:
        unknowns = self.model.unknowns
        if unknowns is None:
            return None
        brought: Unknowns = bring_to_level(unknowns, self._list_shapes(index), index)
        return brought

    def _find_place(self, index: int) -> Place:
        level = self.find_level(index)
        still = np.zeros(level.shape, np.float32)
        return Place(self.linearise(level, (still, still)))

    def bring_energy(self, index: int) -> Energy:
        """Return the energy at a level; arrays of the frames' size that it holds are resized to the level."""
        if not self._energy_holds_arrays:
            return self.model.energy
        energy: Energy = bring_to_level(self.model.energy, self._list_shapes(index), index)
        return energy

    def _list_shapes(self, index: int) -> list[tuple[int, int]]:
        """Return the sizes of the levels, and last that of level -1 if that is meant."""
        shapes = [level.shape for level in self.levels]
        return shapes if index >= 0 else [*shapes, self.find_level(index).shape]

    @cached_property
    def _energy_holds_arrays(self) -> bool:
        return not self.model.is_plain and any(True for _ in list_arrays(self.model.energy))

    def compare(self, flow: tuple[Planes, Planes]) -> Comparison:
        """Compare the frames along a flow ``(u, v)`` of their size."""
        finest = pyramid(
            self.frames, factor=self.model.factor, coarsest=flow[0].size, presmoothing=self.model.presmoothing
        )[0]
        return Comparison.around(self.linearise(finest, flow))

    def with_solver(self) -> tuple[Problem, str]:
        """Return the problem with a solver that can minimise its energy, and why, if it is not the model's solver.

        Raises
        ------
        TypeError, ValueError, MemoryError
            Before any work, if the energy cannot be minimised.
        """
        if self.model.is_plain:
            return self, ""
        energy = self.bring_energy(0)  # raises an error if an array that it holds has a wrong size
        if self.model.occlusion == "estimated":
            check_reversible(self.model.energy, self.levels[0])
            check_reversible_unknowns(self.model.unknowns, self.levels[0])
        solver, instead = solve.choose_solver(energy, self.model.solver, self.linearise_at_rest())
        return (self._with_model(replace(self.model, solver=solver)) if instead else self), instead

    def check_slope(self, position: Position) -> None:
        """Raise ValueError if a general solver finds no slope to follow from where an estimate stands."""
        if isinstance(self.model.solver, NativeSolver):
            return
        from variflow.solve.checking import check_slope  # which imports JAX
        from variflow.solve.general import warn_of_free_ground

        index = position.level
        start = self.bring_energy(index), self.linearise(self.levels[index], self.bring(position, index))
        rest = self.bring_energy(0), self.linearise_at_rest()
        check_slope(start, rest)
        warn_of_free_ground(start[0], self.model.solver, start[1])

    def compile_ahead(self, position: Position) -> None:
        """Compile what JAX computes at all levels from that of a position on, if it is not compiled yet."""
        if isinstance(self.model.solver, NativeSolver) and not self.model.solver.compiles:
            return

        def list_calls(index: int) -> list[Call]:
            at = self.linearise(self.find_level(index), self.bring(position, index))
            return solve.list_calls(self.bring_energy(index), self.model.solver, self.model.steps, at)

        first = list_calls(position.level)
        if not first:
            return
        from variflow.energy.autodiff import programs

        if not all(map(programs.is_compiled, first)):
            rest = (call for index in range(self.finest, position.level) for call in list_calls(index))
            programs.compile_all([*first, *rest])

    def with_light(self, light: Light) -> Problem:
        """Return the problem with the light of its frames matched."""
        return replace(self, light=light, prepared=None)

    def without_prepared(self) -> Problem:
        """Return the problem as it was posed, without what was computed of its frames and their light."""
        return replace(self, light=None, prepared=None)

    def reverse(self, flow: NDArray[np.float32]) -> Problem:
        """Return the problem from the second frame to the first, given the forward flow ``(h, w, 2)`` of any size.

        The frames are swapped and the energy is reversed. A third of the warps is enough, because the start is nearly
        right.
        """
        warps = tuple(math.ceil(_SHARE_OF_WARPS * count) for count in np.atleast_1d(self.model.warps).tolist())
        model = replace(self.model, warps=warps, occlusion="unknown")
        back = Problem(self.images.swap(), model, noise=self.noise, excerpt=self.excerpt)
        finest = back.levels[0]
        forward = np.stack(resample_flow((flow[..., 0], flow[..., 1]), finest.shape), axis=2)
        energy = reverse_energy(back.model.energy, forward, finest)
        unknowns = reverse_unknowns(back.model.unknowns, forward, finest)
        return back._with_model(replace(back.model, energy=energy, unknowns=unknowns))

    def continue_with(self, images: Images) -> Problem:
        """Return the problem of the next pair of a video, whose first frame is the second frame of this problem.

        What was prepared of that frame is used again.
        """
        frames = images.prepare(self.model.channels, first=self.frames.second)
        return Problem(images, self.model, prepared=(frames, self._build_pyramid(frames, before=self.levels)))

    def linearise_at_rest(self) -> LevelLinearisation:
        """Return the linearisation of the finest level around zero flow."""
        still = np.zeros(self.levels[0].shape, np.float32)
        return self.linearise(self.levels[0], self.bring(Position(0, (still, still)), 0))

    def _with_model(self, model: Model) -> Problem:
        """Return the problem with another model, which must have the same pyramid."""
        return replace(self, model=model, prepared=(self.frames, self.levels))

    def _build_pyramid(self, frames: Frames, before: list[Level] | None = None) -> list[Level]:
        return pyramid(
            frames,
            factor=self.model.factor,
            coarsest=self.model.coarsest,
            presmoothing=self.model.presmoothing,
            before=before,
            with_noise=self.model.noise == "estimated" and self.noise is None,
            noise=self.noise or 0.0,
            excerpt=self.excerpt,
        )
