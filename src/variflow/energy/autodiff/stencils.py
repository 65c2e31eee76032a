"""Find out, with JAX, which pixels the residuals of a term depend on, and how.

A linear residual is a sum of taps: an unknown of a pixel nearby, times a coefficient. All coefficients are read from
products of the Jacobian with coloured patterns: every so many pixels at once, so that each residual sees one of them.
Small frames of noise tell how far a term looks, and what of its coefficients is the same everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from variflow.base.kinds import is_like_array
from variflow.energy.advice import advise_on_not_finite
from variflow.energy.autodiff.changes import ByNumPy, ByPrograms, Changes, Reach, computes_with_numpy
from variflow.energy.autodiff.noise import (
    find_parts_read,
    find_place,
    find_size,
    is_alike_in,
    make_noise,
    remember,
    shrink,
)
from variflow.energy.autodiff.programs import apply_settings
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.flow_term import FlowTerm, find_residuals
from variflow.energy.residuals import NotTakenApart
from variflow.energy.structure import Structure
from variflow.energy.taps import LocalResidual, Tap
from variflow.energy.term import is_of_the_library

if TYPE_CHECKING:
    from variflow.images.resampling import Planes
    from variflow.linearisation.level import LevelLinearisation
    from variflow.linearisation.linearisation import Linearisation

# How far a residual may look, in pixels, and how far most do. The frames on which terms are tried hold a neighbourhood
# of that size.
_FARTHEST, _NEAR = 8, 2
_SMALL = (2 * _FARTHEST + 7, 2 * _FARTHEST + 9)

# Coefficients below this share of the largest are rounding errors, and so are differences of this share.
_NOTHING, _ALIKE = 1e-6, 1e-5

# The parts of a linearisation that are the same at each warp of a level, and those that are unknowns.
_SAME_AT_A_LEVEL = frozenset({"guide", "second", "frame0", "noise", "derivative", "level", "scale", "shape"})
_UNKNOWNS = frozenset({"flow", "further"})
# The sizes of frames at which a term is looked at to learn whether it is the same at all.
_SIZES = tuple((factor * _SMALL[0], factor * _SMALL[1]) for factor in (1, 4, 16, 64))
# What a term reads, in whatever way, that does something else in small frames.
_SIZE = frozenset({"shape"})


@apply_settings()
def study(term: FlowTerm, at: LevelLinearisation) -> Structure:
    """Return the structure of a term; raise NotTakenApart if its residuals look too far."""
    count = len(at.planes)
    with explain_faults(term, _SMALL):
        size = _SMALL if is_of_the_library(term) else find_size(term, at, _SMALL, find_residuals)
        structure: Structure | _Differs | None
        if size == _SMALL:
            structure = remember(_study_at_any_level, term, at, "structure at any level")
        else:
            structure = _Differs(_SIZE)
        if isinstance(structure, _Differs):
            study_at_size = partial(_study, size=size)
            structure = remember(study_at_size, term, at, "structure", size, find_place(structure.read, at))
    if structure is None:
        raise NotTakenApart(
            f"the residuals of {type(term).__name__} at a pixel depend on {_name_planes(count)} more than {_FARTHEST} "
            "pixels away"
        )
    return structure


@apply_settings()
def find_taps(term: FlowTerm, at: LevelLinearisation, structure: Structure) -> list[LocalResidual]:
    """Return the residuals of a term around the flow so far."""
    shape = at.planes[0].shape
    placed = structure.place(shape)
    if not placed:
        return []
    with explain_faults(term, shape):
        taps, values = _look_at_frames(term, at, structure)
    _check_finite(term, values or (), taps)
    padded = [None] * len(taps) if values is None else [_pad(value, shape) for value in values]
    return [
        replace(one, taps=of_one, value=value, at_start=not structure.linear)
        for one, of_one, value in zip(placed, taps, padded, strict=True)
    ]


def _look_at_frames(
    term: FlowTerm, at: LevelLinearisation, structure: Structure
) -> tuple[list[list[Tap]], tuple[Any, ...] | None]:
    """Return the taps of each residual, and the values of residuals that are not sums of those alone."""
    changes: Changes
    if structure.by_numpy:
        changes = ByNumPy(term, at.copy(), homogeneous=structure.homogeneous)
    else:
        changes = ByPrograms(term, at)
    values = None
    if not structure.homogeneous:
        planes = tuple(map(np.zeros_like, at.planes)) if structure.linear else at.planes
        values = changes.evaluate(planes)
    if structure.constant:
        return structure.taps, values
    if structure.alike is not None:
        return _weigh(changes, at.planes, structure, structure.alike), values
    return _read_coefficients(changes, at.planes, structure), values


def _check_finite(term: FlowTerm, values: tuple[Any, ...], taps: list[list[Tap]]) -> None:
    """Raise ValueError, naming the term, if its residuals or their derivatives are not finite."""
    derivatives = {id(tap.plane): tap.plane for one in taps for tap in one if tap.plane is not None}
    for what, planes in (("residuals", values), ("derivatives of the residuals", derivatives.values())):
        for plane in planes:
            wrong = ~np.isfinite(plane)
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise ValueError(
                    f"the {what} of {type(term).__name__} are not finite at {wrong.sum()} of {wrong.size} pixels, "
                    f"first at row {row}, column {column}: {advise_on_not_finite(term)}"
                )


def _name_planes(count: int) -> str:
    return "the flow" if count == 2 else f"the {count} planes"


def _sort_by_offset(changes: Planes, reach: Reach) -> Planes:
    """Return coefficients by unknown and offset from changes by unknown and colour, (unknowns, offsets y, x, h, w)."""
    unknowns, period_y, period_x, height, width = changes.shape
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    offsets_y, offsets_x = range(reach[0], reach[1] + 1), range(reach[2], reach[3] + 1)
    return np.stack(
        [
            changes[:, (y + offset_y) % period_y, (x + offset_x) % period_x, y, x]
            for offset_y, offset_x in product(offsets_y, offsets_x)
        ],
        axis=1,
    ).reshape(unknowns, period_y, period_x, height, width)


def _apply(coefficients: Planes, reach: Reach, planes: Any) -> Planes:
    """Return the sum of coefficients times the unknowns at their offsets."""
    _, count_y, count_x, height, width = coefficients.shape
    margin = 2 * max(map(abs, reach))
    total = np.zeros((height, width), np.float32)
    for unknown, plane in enumerate(planes):
        padded = np.pad(plane, margin)
        for i, j in product(range(count_y), range(count_x)):
            top, left = margin + reach[0] + i, margin + reach[2] + j
            total += coefficients[unknown, i, j] * padded[top : top + height, left : left + width]
    return total


class _Differs(NamedTuple):
    """That the structure of a term is not the same at all levels: it reads their size, scale or number."""

    read: frozenset[str]


def _study_at_any_level(term: FlowTerm, at: LevelLinearisation) -> Structure | _Differs | None:
    # Traces the term as a whole, and so explains what cannot be traced.
    read = find_parts_read(term, at, find_residuals)
    return _study(term, at, _SMALL) if find_place(read, at) is None else _Differs(read)


def _study(term: FlowTerm, at: LevelLinearisation, size: tuple[int, int]) -> Structure | None:
    small = shrink(term, at, size)
    noise = [make_noise(at, size, seed) for seed in (0, 1)]
    height, width = noise[0].planes[0].shape
    by_numpy, farthest = computes_with_numpy(small, noise[0]), _FARTHEST
    drawn: list[_Drawn | None] = [None]
    # Each pattern is a call of the term in Python: most terms look no farther than a few.
    for farthest in (_NEAR, _FARTHEST) if by_numpy else ():
        drawn = [_try_on_noise(ByNumPy(small, one), one, farthest) for one in noise]
        if None not in drawn:
            break
    if not all(one and one.linear for one in drawn):  # how others change is not seen from their values
        by_numpy = False
        drawn = [_try_on_noise(ByPrograms(small, one), one, _FARTHEST) for one in noise]
    first, second = drawn
    if first is None or second is None:
        return None
    taps, constant = [], True
    weights: list[Planes | None] = []
    smaller = [(height - one.shape[-2], width - one.shape[-1]) for one in first.coefficients]
    for one, other in zip(first.coefficients, second.coefficients, strict=True):
        found, is_constant, weight = _compare(one, other, farthest)
        taps.append(found)
        weights.append(weight)
        constant &= is_constant
    if not any(taps):
        raise ValueError(
            f"the residuals of {getattr(term, '__name__', type(term).__name__)} do not depend on "
            f"{_name_planes(len(at.planes))}. Do they round, or lies what they hold outside of the frames?"
        )
    read = find_parts_read(term, at, find_residuals)
    # What depends on the frames, or on their size, need not be what it is in small ones of noise.
    holds_pictures = _holds_pictures(term, small)
    constant = constant and read <= _UNKNOWNS and not holds_pictures
    alike = _find_alike(weights, smaller)
    stays = first.linear and read <= _SAME_AT_A_LEVEL
    anywhere = find_place(read, at) is None and not holds_pictures and _is_alike_at_all_sizes(term, at)
    return Structure(taps, smaller, constant, alike, first.linear, first.homogeneous, stays, anywhere, by_numpy)


def _is_alike_at_all_sizes(term: FlowTerm, at: LevelLinearisation) -> bool:
    """Return whether a term does the same in frames of all sizes; a person's own may branch on that of its planes."""
    return is_of_the_library(term) or all(is_alike_in(term, at, size, find_residuals) for size in _SIZES)


def _find_alike(weights: list[Planes | None], smaller: list[tuple[int, int]]) -> list[int] | None:
    """Return, for each residual, the first one that has the same weights; None if some have none."""
    alike: list[int] = []
    for number, one in enumerate(weights):
        if one is None:
            return None
        same = (
            before
            for before in dict.fromkeys(alike)
            if smaller[before] == smaller[number] and _are_alike(weights[before], one)
        )
        alike.append(next(same, number))
    return alike


def _are_alike(one: Planes | None, other: Planes) -> bool:
    return one is not None and one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-6)


def _holds_pictures(term: FlowTerm, small: FlowTerm) -> bool:
    """Return whether a term holds arrays that are smaller in small frames."""
    leaves = zip(jax.tree.leaves(term), jax.tree.leaves(small), strict=True)
    return any(is_like_array(whole) and np.shape(whole) != np.shape(part) for whole, part in leaves)


class _Drawn(NamedTuple):
    """The coefficients of each residual in a small frame of noise, and whether it is linear and homogeneous."""

    coefficients: list[Planes]
    linear: bool
    homogeneous: bool


def _try_on_noise(changes: Changes, at: Linearisation, farthest: int) -> _Drawn | None:
    """Return what noise tells of a term; None if it looks farther than so many pixels."""
    reach = (-farthest, farthest, -farthest, farthest)
    rng = np.random.default_rng(2)
    step = tuple(rng.normal(size=(len(at.planes), *at.planes[0].shape)).astype(np.float32))
    moved = tuple(a + b for a, b in zip(at.planes, step, strict=True))
    values, values_moved = (changes.evaluate(planes) for planes in (at.planes, moved))
    if not all(np.size(plane) for plane in values):
        return None
    along = changes.differentiate(at.planes, step)
    if not all(np.isfinite(plane).all() for plane in (*values, *values_moved, *along)):
        raise NotTakenApart(f"the residuals of {type(changes.term).__name__} are not finite for small frames of noise")
    coefficients, linear, homogeneous = [], True, True
    drawn = changes.probe(at.planes, reach), values, along, values_moved
    for by_color, value, change, other in zip(*drawn, strict=True):
        sorted_changes = _sort_by_offset(np.asarray(by_color), reach)
        coefficients.append(sorted_changes)
        size = float(np.abs(change).max())
        if not (np.isfinite(size) and np.allclose(_apply(sorted_changes, reach, step), change, 1e-3, 1e-4 * size)):
            return None
        linear &= np.allclose(other - value, change, rtol=1e-3, atol=1e-4 * size)
        homogeneous &= np.allclose(_apply(sorted_changes, reach, at.planes), value, rtol=1e-3, atol=1e-4 * size)
    return _Drawn(coefficients, linear, linear and homogeneous)


def _compare(first: Planes, second: Planes, farthest: int) -> tuple[list[Tap], bool, Planes | None]:
    """Return the taps that two draws of noise share, whether they are constant, and if but for weights, these."""
    largest = max(float(np.abs(first).max()), float(np.abs(second).max()))
    seen = np.maximum(np.abs(first), np.abs(second)).max(axis=(-2, -1)) > _NOTHING * largest
    places = np.argwhere(seen)
    if not len(places):
        return [], True, np.zeros(0, np.float32)
    both = np.concatenate([one[seen].reshape(len(places), -1) for one in (first, second)], axis=1)
    # The factors of the pixel where the least of them stands out most; where each pixel lacks one, the largest.
    sizes = np.abs(both)
    standing_out = sizes.min(axis=0)
    factors = both[:, np.argmax(standing_out if standing_out.any() else sizes.max(axis=0))]
    constant = bool(np.allclose(both, factors[:, None], rtol=1e-4, atol=1e-5 * largest))
    reference = int(np.argmax(np.abs(factors)))
    weights = both[reference] / factors[reference]
    weighted = np.allclose(both, factors[:, None] * weights, rtol=1e-3, atol=1e-5 * largest)
    taps = [
        Tap(int(unknown), (int(y) - farthest, int(x) - farthest), float(factor))
        for (unknown, y, x), factor in zip(places, factors, strict=True)
    ]
    return taps, constant, weights if weighted else None


def _weigh(changes: Changes, planes: Any, structure: Structure, alike: list[int]) -> list[list[Tap]]:
    """Return taps whose planes are the weights of the pixels.

    A weight is the change of the residual along some pattern, divided by what the taps alone make of that pattern.
    """
    shape = planes[0].shape
    pattern, responses = structure.patterns
    repeats = [-(-length // step) for length, step in zip(shape, pattern.shape[1:], strict=True)]
    tangent = np.zeros((len(planes), *shape), np.float32)
    tangent[: len(pattern)] = np.tile(pattern, (1, *repeats))[:, : shape[0], : shape[1]]
    wanted = tuple(number for number in dict.fromkeys(alike) if structure.taps[number])
    along = changes.differentiate(planes, tangent, wanted)
    # Residuals of the same weights share a plane, and so their part of the system.
    weights = {number: _divide(change, responses[number], shape) for number, change in zip(wanted, along, strict=True)}
    return [
        [Tap(tap.unknown, tap.offset, tap.factor * weights[number][0], weights[number][1]) for tap in taps]
        for taps, number in zip(structure.taps, alike, strict=True)
    ]


def _divide(change: Any, response: Planes, shape: tuple[int, int]) -> tuple[float, Planes | None]:
    """Return the changes of residuals divided by periodic ones: a factor and, unless they are all alike, a plane."""
    height, width = np.shape(change)
    repeats = -(-height // response.shape[0]), -(-width // response.shape[1])
    inverse = np.tile((1 / response).astype(np.float32), repeats)[:height, :width]
    weights = np.zeros(shape, np.float32)
    part = np.multiply(change, inverse, out=weights[:height, :width])
    low, high = float(part.min()), float(part.max())
    if high - low <= _ALIKE * max(abs(low), abs(high)):
        return 0.5 * (low + high), None
    return 1.0, weights


def _read_coefficients(changes: Changes, planes: Any, structure: Structure) -> list[list[Tap]]:
    """Return taps whose planes are all coefficients."""
    shape, out = planes[0].shape, []
    for taps, of_residual in zip(structure.taps, changes.probe(planes, structure.reach), strict=True):
        by_color = np.asarray(of_residual)
        out.append([Tap(tap.unknown, tap.offset, 1.0, _pick(by_color[tap.unknown], tap.offset, shape)) for tap in taps])
    return out


def _pick(by_color: Planes, offset: tuple[int, int], shape: tuple[int, int]) -> Planes:
    """Return the coefficients at an offset from changes by colour, (colours along y, along x, h, w), padded by 0."""
    period_y, period_x, height, width = by_color.shape
    plane = np.zeros(shape, np.float32)
    for y, x in product(range(period_y), range(period_x)):
        color = (y + offset[0]) % period_y, (x + offset[1]) % period_x
        plane[y:height:period_y, x:width:period_x] = by_color[color][y::period_y, x::period_x]
    return plane


def _pad(plane: Any, shape: tuple[int, int]) -> Planes:
    array = np.asarray(plane, np.float32)
    return np.pad(array, [(0, whole - part) for whole, part in zip(shape, array.shape, strict=True)])
