"""Estimate the flow from coarse to fine: at each level linearise, minimise, add the increment, and filter."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from itertools import takewhile
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from variflow import models, solve
from variflow.base.arrays import as_flow
from variflow.base.errors import count_warnings, mute_warnings, warn
from variflow.base.kinds import name_kind
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.doubting import warn_of_mismatch
from variflow.energy import Energy
from variflow.explaining import explain_problem, explain_warp
from variflow.filters import apply_filter
from variflow.frames.pyramid import Level, find_nearest_level
from variflow.images.resampling import Planes
from variflow.lighting import find_forgiven_changes, match_light, warn_of_negatives, watch_light
from variflow.linearisation.comparison import Comparison
from variflow.matching.matches import Matches
from variflow.model import Model
from variflow.occlusion import find_occlusion, mask_occluded
from variflow.problem import Problem, pose
from variflow.result import Result
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.start.from_flow import FromFlow
from variflow.start.from_inverse import FromInverse
from variflow.start.from_matches import FromMatches
from variflow.start.from_model import FromModel
from variflow.start.start import Initialiser, Start
from variflow.state import EnergyRecord, State
from variflow.unknowns.position import Position
from variflow.unknowns.unknowns import allows_any_flow

# An estimate finds what is occluded at the level nearest to this size, relative to the frames.
_OCCLUSION_SCALE = 0.5
# Warn if the energy rises in more than this share of the solves.
_MANY = 0.25
# A flow did not settle if each of the last two warps moved more than this share of the pixels by more than a pixel, and
# the last hardly fewer: at least the part `_NO_FEWER` of those that the warp before had moved. Native solvers that a
# model names are not asked: they make a fixed number of sweeps, so that large motion takes them many warps.
_UNSETTLED, _NO_FEWER = 0.02, 0.75


@explain_calls
def estimate(
    frame0: ArrayLike,
    frame1: ArrayLike,
    model: str | Model | Energy = "balanced",
    *,
    init: ArrayLike | Matches | None = None,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    verbose: bool | int = False,
    callback: Callable[[State], object] | None = None,
) -> Result:
    """Estimate the dense flow from one frame to another.

    Parameters
    ----------
    frame0, frame1 : array
        ``(H, W)`` gray or ``(H, W, C)`` with at most 16 channels, of one size; any real type and range. Pixels that are
        NaN, infinite or masked (`numpy.ma`) are missing: they add nothing to the data term, and the flow there follows
        its surroundings. Bars at the rim of both frames, as films have them, are cut off, and the flow there is that of
        the nearest pixel of the picture. (If the energy holds arrays or is a function, they are missing instead.)
    model : str, Model or callable
        A name (`variflow.models.names`), a `Model`, or an energy ``energy(d, at) -> scalar`` of your own, which is
        then minimised by truncated Newton steps, five warps a level, on a pyramid of factor 0.5.
    init : (H, W, 2) array or Matches, optional
        A flow to start from, in pixels of the frames. It is unknown where it is not finite or longer than four times
        the larger side of the frames. The estimate begins with it at the finest level at which the frames confirm it,
        half their size at most, or else at the coarsest. Where motion is so large that the model would start from
        matches, these replace it if the frames match better along them. A model with one level refines it in place.
        Matches start the estimate at a quarter of the size, unasked. By default the `start` of the model decides.
    mask : (H, W) bool array or a pair of them, optional
        True where a pixel is usable. One mask is for both frames; a pair has one for each frame, or None.
    weights : (H, W) array or a pair of them, optional
        How much each pixel counts in the data term, from 0 to a million. One array is for the first frame; a pair has
        one for each frame, or None. The weight of a pixel is multiplied by the weight of its target. A weight of k for
        all pixels is as if the smoothness were k times weaker, so weights are best about 1 on average: divide weights
        such as 1 / variance by their mean. Terms of the library apply the weights; an energy function of your own must
        multiply by ``at.weights``. A pixel of weight 0 is still seen in the derivatives of pixels beside it, and in the
        mean light: what shows junk belongs in `mask`.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; the constants of models refer to that range. By default the 0.1 and 99.9
        percentiles of both frames together, so the unit of intensity does not matter.
    verbose : bool or 2
        Print a line after each warp. With 2, also print beforehand what is minimised, and which solver does it and why
        (`explain`), and at each warp how many pixels are compared.
    callback : callable, optional
        Called with the `State` after each warp. The estimate ends there if it returns a true value, such as True or 1.

    Returns
    -------
    Result
        With ``flow`` of shape ``(H, W, 2)``, float32: ``frame0(x, y) = frame1(x + u, y + v)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it. Also if the energy does not return one finite float.
    MemoryError
        If the model's solver stores a dense Hessian too large for these frames.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((48, 64), shift=(1.25, -0.5))
    >>> result = variflow.estimate(pair.frame0, pair.frame1, "horn-schunck")
    >>> result.flow.shape
    (48, 64, 2)
    >>> bool(abs(result.flow[8:-8, 8:-8] - (1.25, -0.5)).mean() < 0.05)
    True
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {name_kind(callback)}, wanted a function of the State after each warp")
    if not isinstance(verbose, bool | np.bool_ | Integral) or verbose not in (0, 1, 2):
        raise ValueError(f"verbose is {verbose!r}, wanted True for a line after each warp, 2 for more, or False")
    problem = pose(frame0, frame1, models.get(model), mask, weights, intensity_range, alone=True)
    return run_to_end(problem, _choose_initialiser(init), verbose=verbose, callback=callback)


@explain_calls
def iterate(
    frame0: ArrayLike,
    frame1: ArrayLike,
    model: str | Model | Energy = "balanced",
    *,
    init: ArrayLike | Matches | None = None,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[State]:
    """Estimate a flow step by step: return an iterator over the states after each warp.

    The parameters are those of `estimate`, which runs this iterator to its end. They are checked at the call, not at
    the first step. States are those of the picture alone if it has bars that are cut off.

    Yields
    ------
    State

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((32, 32), shift=(1, 0))
    >>> for state in variflow.iterate(pair.frame0, pair.frame1, "horn-schunck"):
    ...     if state.warp == 2:
    ...         print(state.level, state.shape)
    1 (19, 19)
    0 (32, 32)
    """
    problem = pose(frame0, frame1, models.get(model), mask, weights, intensity_range, alone=True)
    return iterate_problem(problem, _choose_initialiser(init))


def _choose_initialiser(init: ArrayLike | Matches | None) -> Initialiser:
    """Return the initialiser that an `init` asks for."""
    if init is None:
        return FromModel()
    return FromMatches(init) if isinstance(init, Matches) else FromFlow(as_flow(init, "init"))


def run_to_end(
    problem: Problem,
    initialiser: Initialiser,
    *,
    verbose: bool | int = False,
    callback: Callable[[State], object] | None = None,
) -> Result:
    """Run an estimate to its end and return the result."""
    model = problem.model
    energies: list[EnergyRecord] = []
    settles = model.limit > 1 and not isinstance(model.solver, NativeSolver)
    moved: list[tuple[int, float]] = []  # for each warp its level, and which share of the pixels moved far
    count = exhausted = 0
    reason, stopped = "finished every warp", False
    if verbose > 1:
        with mute_warnings():
            print(explain_problem(problem))
    for state in iterate_problem(problem, initialiser):
        count += 1
        exhausted += state.exhausted
        if settles:
            moved.append((state.level, state.share_moved_far))
        if verbose or state.knows_energy:
            energies.append(state.energy)
        if verbose:
            print(state if verbose < 2 else explain_warp(state))
        if state.failure:
            reason = state.failure
        elif callback is not None and _is_true(callback(state)):
            reason = f"stopped by the callback at level {state.level}, warp {state.warp}"
            stopped = True
            break
    if exhausted:
        reason += f"; {exhausted} of {count} solves used all their steps"
    for remark in (state.instead, *state.remarks):
        reason += f"; {remark}" if remark else ""
    if not (state.failure or stopped) and _stays_unsettled(moved):
        reason += (
            f"; the flow did not settle: the last warp still moved {100 * moved[-1][1]:.0f} % of the pixels by more "
            "than a pixel; limit=1 in the Model, or more smoothness, may help"
        )
    rose = sum(record.after > record.before for record in energies)
    if rose:
        reason += f"; the energy rose in {rose} of {count} solves"
    position = state.position
    position = position if position.values is None else problem.bring(position, 0)
    found = problem.finish(position)
    return Result(
        flow=problem.images.cut.surround(found.make_pairs()),
        reason=reason,
        converged=state.settled and not stopped,
        model=model,
        _found=found,
        _problem=problem.without_prepared(),
        _initialiser=initialiser,
        _iterate=iterate_problem,
        _warps=count,
        _light=state.light,
        _energies=energies,
        _values=position.values,
    )


def _stays_unsettled(moved: list[tuple[int, float]]) -> bool:
    """Return whether the last warps, at one level, go on moving many pixels far."""
    if len(moved) < 2:
        return False
    (before, earlier), (level, share) = moved[-2:]
    return before == level and min(earlier, share) > _UNSETTLED and share >= _NO_FEWER * earlier


def _is_true(answer: object) -> bool:
    """Return whether a callback's answer is true; raise TypeError if it is neither true nor false."""
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError("callback is an async function, which nobody awaits here, wanted an ordinary one")
    try:
        if getattr(answer, "size", 1) == 1:  # some versions of NumPy take an empty array as false
            return bool(answer)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"callback returned {name_kind(answer)} that is neither true nor false, wanted True to stop")


def iterate_problem(problem: Problem, initialiser: Initialiser) -> Iterator[State]:
    """Solve a problem step by step, as `iterate` does; its frames have been checked."""
    told = count_warnings()
    problem, instead = problem.with_solver()
    start = initialiser.start(problem)
    position = Position(start.level, start.planes)
    problem.check_slope(position)
    problem.compile_ahead(position)
    remarks = (*problem.images.remarks, *warn_of_negatives(problem))
    return _go_coarse_to_fine(problem, initialiser, start, instead, remarks, told)


def _go_coarse_to_fine(
    problem: Problem, initialiser: Initialiser, start: Start, instead: str, remarks: tuple[str, ...], told: int
) -> Iterator[State]:
    model = problem.model
    index, begins, state = start.level, True, None
    position = Position(index, start.planes)
    forgiven = find_forgiven_changes(model.energy) if model.light == "same" else None
    occlusion = None
    rises: list[tuple[int, str]] = []  # for each warp its level, and why the energy rose; empty if it did not
    finest = min(problem.finest, start.level)
    while index >= finest:
        position = problem.bring(position, index)
        if start.scene and index == start.scene.level and allows_any_flow(model.unknowns):
            position = problem.change_flow(position, start.scene.take_again(problem, position.flow))
        flow = position.flow
        if model.light == "matched":
            problem = match_light(problem, index, flow, begins=begins)
        elif forgiven and (remark := watch_light(problem, index, flow, forgiven, begins=begins)):
            remarks, forgiven = (*remarks, remark), None  # one warning is enough
        level = problem.find_level(index)
        level = level if occlusion is None else mask_occluded(level, *occlusion)
        energy = problem.bring_energy(index)
        state = solve.carry(model.solver, state)
        warps = model.warps_at(index, len(problem.levels) - 1, finest)
        for warp in range(warps):
            last = warp == warps - 1
            at = problem.linearise(level, position, with_misfit=last and model.filter is not None)
            minimum = solve.minimise(energy, model.solver, model.steps, at, state, last=last, finest=index == finest)
            state = minimum.state
            if not minimum.failure:
                position = _advance(problem, position, minimum)
            if last and model.filter is not None:
                filtered = apply_filter(model.filter, position.flow, at, f"level {index}")
                position = problem.change_flow(position, filtered)
            if last and start.unseen and allows_any_flow(model.unknowns):
                position = problem.change_flow(position, start.continue_outside(problem, index, position.flow))
            flow = position.flow
            failure = f"{minimum.failure} (level {index}, warp {warp})" if minimum.failure else ""
            rises.append((index, minimum.rose))
            yield State(
                index, warp, flow, minimum, at, failure, instead, remarks, problem.light, position.values, finest
            )
            if failure:
                warn(f"the estimate {failure}; the flow is that of the warp before")
                return
        if model.occlusion == "estimated" and _is_compared(problem, index):
            occlusion = _estimate_occlusion(problem, level, flow), level.part
        again = initialiser.start_again(problem, index, flow)
        begins = again is not None
        index, position = (index - 1, position) if again is None else (again.level, Position(again.level, again.planes))
    _warn_of_rising_energy(rises)
    if count_warnings() == told:  # else a cause has been told
        warn_of_mismatch(problem, position)


def _warn_of_rising_energy(rises: list[tuple[int, str]]) -> None:
    """Warn if the energy rose at the finest level that was solved, or in many solves."""
    risen = [why for _, why in rises if why]
    at_end = any(why for level, why in rises if level == rises[-1][0])
    if at_end or len(risen) > _MANY * len(rises):
        warn(f"the energy rose in {len(risen)} of {len(rises)} solves, whose increments were dropped: {risen[-1]}")


def _is_compared(problem: Problem, index: int) -> bool:
    """Return whether an estimate finds at this level what is occluded: never at the last."""
    return index == find_nearest_level(problem.levels, _OCCLUSION_SCALE) > problem.finest


def _estimate_occlusion(problem: Problem, level: Level, flow: tuple[Planes, Planes]) -> NDArray[np.bool_]:
    """Return what is occluded at a level: estimate the backward flow down to that level, and compare both flows."""
    forward = np.stack(flow, axis=2)
    with mute_warnings():
        states = iterate_problem(problem.reverse(forward), FromInverse(forward, level.part))
        backward = [state.flow for state in takewhile(lambda state: state.level >= level.index, states)]
    return find_occlusion(forward, backward[-1], Comparison.around(problem.linearise(level, flow)))


def _advance(problem: Problem, position: Position, minimum: Minimum) -> Position:
    """Return where an estimate stands after a warp; an increment beyond the limit of the model is made shorter.

    The components of a flow are cut off, each on its own. Other unknowns move as far as the longest component allows.
    """
    limit = problem.model.limit
    if position.values is None or minimum.values is None:
        return Position(position.level, _limit(minimum, limit), position.values, position.further)
    longest = max(float(np.abs(component).max()) for component in minimum.increment)
    share = np.float32(min(1.0, limit / longest) if longest else 1.0)
    if share == 1:
        return problem.stand(minimum.values, position.level)
    if allows_any_flow(problem.model.unknowns):
        return problem.change_flow(problem.stand(minimum.values, position.level), _limit(minimum, limit))
    before = position.values
    values = {name: before[name] + share * (after - before[name]) for name, after in minimum.values.items()}
    return problem.stand(values, position.level)


def _limit(minimum: Minimum, limit: float) -> tuple[Planes, Planes]:
    """Return the flow found, with the components of its increment cut off at a limit in pixels."""
    if limit == math.inf:
        return minimum.flow
    u, v = (
        start + np.clip(component, -limit, limit)
        for start, component in zip(minimum.start, minimum.increment, strict=True)
    )
    return u, v
