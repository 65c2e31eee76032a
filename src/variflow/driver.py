"""The driver: coarse to fine, linearise, minimise, add; then filter and hand the flow to the next level."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import matching, models, solve
from variflow.arrays import as_flow, as_image, both_masks, both_weights
from variflow.calling import explained
from variflow.carrying import Carried
from variflow.energy import Energy
from variflow.energy.directions import check_turns, turned_round
from variflow.energy.fields import at_level
from variflow.errors import told_already, warn
from variflow.filters import filtered
from variflow.frames import Images, checked, checked_range, fill_missing
from variflow.light import Light, LightMatching
from variflow.linearisation import LevelLinearisation, linearise
from variflow.model import Model
from variflow.occlusion import Comparison, Inverse, backward_model, estimated_at, occluded, without
from variflow.pyramid import Level, pyramid
from variflow.resampling import Planes, resample_flow
from variflow.result import EnergyRecord, Flow, Result, State
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.watching import LightWatching, told_of_negatives

# An energy that rises in more than this part of the solves is worth a warning.
_MANY = 0.25


@explained
def estimate(
    frame0: Any,
    frame1: Any,
    model: str | Model | Energy = "balanced",
    *,
    init: Any = None,
    mask: Any = None,
    weights: Any = None,
    intensity_range: tuple[float, float] | None = None,
    verbose: bool = False,
    callback: Callable[[State], object] | None = None,
) -> Result:
    """Estimate the dense flow from one frame to another.

    Parameters
    ----------
    frame0, frame1 : array
        ``(H, W)`` gray or ``(H, W, C)`` with at most 16 channels, of one size; any real type and range. Pixels that are
        NaN, infinite or masked (`numpy.ma`) are missing: they exert no force and the flow there comes from around them.
    model : str, Model or callable
        A name (`variflow.models.names`), a `Model`, or an energy ``energy(d, at) -> scalar`` of your own, which is
        then minimised by L-BFGS, 100 steps a warp, on a pyramid of factor 0.5.
    init : (H, W, 2) array or Matches, optional
        A flow to start from, in pixels of the frames, unknown where it is NaN or more than four frames long; by
        default as the model's `start` says. It is resampled to the coarsest level, so it guides large motion; its
        details are found anew. Matches start the estimate at a quarter of the size, so that they guide the motion of
        small things too.
    mask : (H, W) bool array or a pair of them, optional
        True where a pixel is usable; one mask is for both frames, and a pair has one for each, or None.
    weights : (H, W) array or a pair of them, optional
        How much each pixel counts in the data term, from 0 to a million; one array is for the first frame, and a pair
        has one for each, or None: the weights of a pixel and of its target are multiplied. Terms of the library apply
        them; an energy function of your own multiplies by ``at.weights``.
    intensity_range : (low, high), optional
        Intensities that become 0 and 1, where the constants of models are defined. By default the 0.1 and 99.9
        percentile of both frames together, so that the unit of intensity does not matter.
    verbose : bool
        Print a line after each warp.
    callback : callable, optional
        Called with the `State` after each warp; when it returns what is true, as True or 1, the estimate ends there.

    Returns
    -------
    Result
        With ``flow`` of shape ``(H, W, 2)``, float32: ``frame0(x, y) = frame1(x + u, y + v)``.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be right, naming it; if the energy does not return one finite float.
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
        raise TypeError(f"callback is a {type(callback).__name__}, wanted a function of the State after each warp")
    model = models.get(model)
    first, second = as_image(frame0, "frame0"), as_image(frame1, "frame1")
    inputs = {  # in memory of their own, for what a result computes when it is asked
        "frame0": first,
        "frame1": second,
        "model": model,
        "init": _own_start(init),
        "mask": both_masks(mask, first.shape[:2]),
        "weights": both_weights(weights, first.shape[:2]),
        "intensity_range": None if intensity_range is None else checked_range(intensity_range),
    }
    return concluded(iterate(**inputs), inputs, verbose=verbose, callback=callback)


def _own_start(init: Any) -> Any:
    """Return where to start from in memory of its own; matches are so already."""
    return init if init is None or isinstance(init, matching.Matches) else as_flow(init, "init")


def concluded(
    states: Iterator[State],
    inputs: dict[str, Any],
    *,
    verbose: bool = False,
    callback: Callable[[State], object] | None = None,
) -> Result:
    """Run an estimate to its end and return the result; `inputs` are the arguments of `iterate` that give it again."""
    model: Model = inputs["model"]
    native = isinstance(model.solver, NativeSolver)
    energies: list[EnergyRecord] = []
    count = exhausted = 0
    reason, stopped = "finished every warp", False
    for state in states:
        count += 1
        exhausted += state.exhausted
        if verbose or not native or state.instead:  # the general minimiser computes them anyway
            energies.append(state.energy)
        if verbose:
            print(state)
        if state.failure:
            reason = state.failure
        elif callback is not None and _is_true(callback(state)):
            reason = f"stopped by the callback at level {state.level}, warp {state.warp}"
            stopped = True
            break
    if exhausted:
        reason += f"; {exhausted} of {count} solves used all {model.steps} steps"
    for remark in (state.instead, *state.remarks):
        reason += f"; {remark}" if remark else ""
    rose = sum(record.after > record.before for record in energies)
    if rose:
        reason += f"; the energy rose in {rose} of {count} solves"
    height, width = inputs["frame0"].shape[:2]
    converged = state.settled and not stopped
    result = Result(state.full_size((height, width)), reason, converged, model, iterate, inputs, count)
    if energies:
        result.__dict__["energies"] = energies
    return result


def _is_true(answer: Any) -> bool:
    """Return whether a callback's answer is true; raise TypeError if it is neither true nor false."""
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError("callback is an async function, which nobody awaits here, wanted an ordinary one")
    try:
        if getattr(answer, "size", 1) == 1:  # NumPy may still take an empty array for false
            return bool(answer)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"callback returned a {type(answer).__name__} that is neither true nor false, wanted True to stop")


@explained
def iterate(
    frame0: Any,
    frame1: Any,
    model: str | Model | Energy = "balanced",
    *,
    init: Any = None,
    mask: Any = None,
    weights: Any = None,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[State]:
    """Estimate a flow step by step: return an iterator over the states after each warp.

    The parameters are those of `estimate`, which runs it to its end. Arguments are checked at once, not at the first
    step.

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
    model = models.get(model)
    images = checked(frame0, frame1, mask, weights, intensity_range)
    return iterate_prepared(images, levels_of(images, model), model, init)


def levels_of(images: Images, model: Model, light: Light | None = None) -> list[Level]:
    """Return the pyramid of a pair as a model wants it; where the light differs, as it shows the frames."""
    return pyramid(
        images.prepared(model.channels, light),
        factor=model.factor,
        coarsest=model.coarsest,
        presmoothing=model.presmoothing,
        with_noise=model.noise == "estimated",
    )


def iterate_prepared(images: Images, levels: list[Level], model: Model, init: Any = None) -> Iterator[State]:
    """Estimate step by step, as `iterate` does, from frames that were checked and their pyramid."""
    still = np.zeros(levels[0].shape, np.float32)
    finest = _linearise(levels[0], (still, still), model)
    shapes = [level.shape for level in levels]
    at_level(model.energy, shapes, 0)  # which looks at the arrays before any work
    if isinstance(init, Inverse):
        model = replace(model, energy=turned_round(model.energy, _enlarged(init.forward, levels[0].shape), levels[0]))
    if model.occlusion == "estimated":
        check_turns(model.energy, levels[0])
    solver, instead = solve.suited(model.energy, model.solver, finest)
    suited = replace(model, solver=solver) if instead else model
    start = _start(init, levels, suited)
    first = _linearise(levels[start.level], start.planes, model)
    solve.check_start(solver, *((at_level(model.energy, shapes, at.level.index), at) for at in (first, finest)))
    remarks = (*images.remarks, *told_of_negatives(images.names, levels[-1], model.energy))
    light: LightMatching | LightWatching
    if model.light == "matched":
        light = LightMatching(
            images.images,
            images.valids,
            partial(levels_of, images, model),
            partial(_linearise, model=model),
        )
    else:
        light = LightWatching(model, partial(_linearise, model=model))

    def back(flow: Flow) -> Iterator[State]:
        images_back, model_back = images.swapped(), backward_model(suited)
        return iterate_prepared(images_back, levels_of(images_back, model_back), model_back, Inverse(flow))

    carried = init if isinstance(init, Carried) else None
    states = _coarse_to_fine(levels, start, suited, light, back if model.occlusion == "estimated" else None, carried)
    return (_remarked(state, instead, (*remarks, *light.remarks)) for state in states)


def _remarked(state: State, instead: str, remarks: tuple[str, ...]) -> State:
    return replace(state, instead=instead, remarks=remarks) if instead or remarks else state


def _enlarged(flow: Flow, shape: tuple[int, int]) -> Flow:
    """Bring a flow (h, w, 2) to another size."""
    return np.stack(resample_flow((flow[..., 0], flow[..., 1]), shape), axis=2)


def _coarse_to_fine(
    levels: list[Level],
    start: matching.Start,
    model: Model,
    light: LightMatching | LightWatching,
    back: Callable[[Flow], Iterator[State]] | None,
    carried: Carried | None,
) -> Iterator[State]:
    index, flow, begins = start.level, start.planes, True
    occlusion = None
    shapes = [level.shape for level in levels]
    rises: list[tuple[int, str]] = []  # at each warp, its level and why its increment was dropped
    while index >= min(model.finest, start.level):
        flow = resample_flow(flow, levels[index].shape)
        levels = light.matched(levels, index, flow, begins=begins)
        level = levels[index] if occlusion is None else without(levels[index], occlusion)
        energy = at_level(model.energy, shapes, index)
        state = None
        warps = model.warps_at(level.index)
        for warp in range(warps):
            last = warp == warps - 1
            at = _linearise(level, flow, model, with_misfit=last and model.filter is not None)
            minimum = solve.minimise(energy, model.solver, model.steps, at, state)
            state = minimum.state
            if not minimum.failure:
                flow = _limited(minimum, model.limit)
            if last and model.filter is not None:
                flow = filtered(model.filter, flow, at, f"level {level.index}")
            if last:
                flow = start.kept_unseen(flow)
            failure = f"{minimum.failure} (level {level.index}, warp {warp})" if minimum.failure else ""
            rises.append((level.index, minimum.rose))
            yield State(level.index, warp, flow, minimum, failure)
            if failure:
                warn(f"the estimate {failure}; the flow is the one of before")
                return
        if back is not None and index == estimated_at(levels) > model.finest:
            occlusion = _occlusion(level, flow, model, back)
        instead = None if carried is None else carried.instead(levels, index, flow, model)
        begins = instead is not None
        index, flow = (index - 1, flow) if instead is None else (instead.level, instead.planes)
    _tell_of(rises)


def _tell_of(rises: list[tuple[int, str]]) -> None:
    """Warn if the energy rose at the finest level that was solved, or in many solves."""
    risen = [why for _, why in rises if why]
    at_end = any(why for level, why in rises if level == rises[-1][0])
    if at_end or len(risen) > _MANY * len(rises):
        warn(f"the energy rose in {len(risen)} of {len(rises)} solves, whose increments were dropped: {risen[-1]}")


def _occlusion(
    level: Level, flow: tuple[Planes, Planes], model: Model, back: Callable[[Flow], Iterator[State]]
) -> NDArray[np.bool_]:
    """Return what is occluded at a level: estimate the way back down to it, and go there and back."""
    forward = np.stack(flow, axis=2)
    with told_already():
        backward = [state.flow for state in takewhile(lambda state: state.level >= level.index, back(forward))]
    return occluded(forward, backward[-1], Comparison.around(_linearise(level, flow, model)))


def _limited(minimum: Minimum, limit: float) -> tuple[Planes, Planes]:
    if limit == math.inf:
        return minimum.flow
    u, v = (
        start + np.clip(component, -limit, limit)
        for start, component in zip(minimum.start, minimum.increment, strict=True)
    )
    return u, v


def _linearise(
    level: Level, flow: tuple[Planes, Planes], model: Model, with_misfit: bool = False
) -> LevelLinearisation:
    return linearise(
        level, flow, derivative=model.derivative, interpolation=model.interpolation, with_misfit=with_misfit
    )


def _start(init: Any, levels: list[Level], model: Model) -> matching.Start:
    """Return where to start from: zero, matches, or the flow given with its unknown pixels filled."""
    coarsest, shape = len(levels) - 1, levels[-1].shape
    if isinstance(init, Inverse):
        return init.start(levels)
    if isinstance(init, matching.Matches):
        return matching.start_from(init, levels)
    if init is None or isinstance(init, Carried):
        matched = matching.start(levels) if model.start == "matches" else None
        zero = np.zeros(shape, np.float32)
        return matched or matching.Start(coarsest, (zero, zero.copy()), matched=False)
    flow = as_flow(init, "init")
    if flow.shape != (*levels[0].shape, 2):
        raise ValueError(f"init has shape {flow.shape}, wanted {(*levels[0].shape, 2)}: a flow of the frames' size")
    known = matching.known_displacements(flow, levels[0].shape, "flow of init")
    if not known.any():
        raise ValueError("init has no known pixel: all are NaN, infinite or larger than any motion")
    u, v = fill_missing(np.ascontiguousarray(np.moveaxis(flow, 2, 0)), known)
    return matching.Start(coarsest, resample_flow((u, v), shape), matched=False)
