"""Find out, with JAX, which pixels the residuals of a term depend on, and how.

A linear residual is a sum of taps: an unknown of a pixel nearby, times a coefficient. All coefficients are read from
products of the Jacobian with coloured patterns: every so many pixels at once, so that each residual sees one of them.
Small frames of noise tell how far a term looks, and what of its coefficients is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.advice import NOT_FINITE
from variflow.energy.autodiff.noise import find_parts_read, find_place, make_noise, remember, shrink
from variflow.energy.autodiff.programs import apply_settings, run
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.flow_term import FlowTerm, find_residuals
from variflow.energy.residuals import NotTakenApart
from variflow.energy.taps import LocalResidual, Tap

if TYPE_CHECKING:
    from variflow.images.resampling import Planes
    from variflow.linearisation.level import LevelLinearisation
    from variflow.linearisation.linearisation import Linearisation

# How far a residual may look, in pixels. The frames on which terms are tried hold a neighbourhood of that size.
_FARTHEST = 8
_SMALL = (2 * _FARTHEST + 7, 2 * _FARTHEST + 9)

# Coefficients below this share of the largest are rounding errors.
_NOTHING = 1e-6

# The parts of a linearisation that are the same at each warp of a level.
_SAME_AT_A_LEVEL = frozenset({"guide", "second", "frame0", "noise", "derivative", "level", "scale", "shape"})


# Those that small frames do not share with large ones.
_OF_SIZE = frozenset({"level", "scale", "shape"})


@dataclass(frozen=True)
class Structure:
    """What small frames of noise tell of a term.

    Attributes
    ----------
    taps : list of list of Tap
        For each residual, what it depends on; the factors are those of one pixel if they are not the same everywhere.
    smaller : list of (rows, columns)
        By how much the plane of each residual is smaller than those of the unknowns.
    constant, weighted, linear, homogeneous : bool
        Whether the factors are the same everywhere; whether they are but for a weight of each pixel; whether residuals
        are linear in the unknowns; whether the unknowns 0 have the residual 0.
    stays : bool
        Whether coefficients are the same at each warp of a level.
    """

    taps: list[list[Tap]]
    smaller: list[tuple[int, int]]
    constant: bool
    weighted: bool
    linear: bool
    homogeneous: bool
    stays: bool

    @property
    def reach(self) -> tuple[int, int, int, int]:
        """The lowest and highest offset along y, and along x."""
        y, x = zip(*(tap.offset for taps in self.taps for tap in taps), strict=True)
        return min(y), max(y), min(x), max(x)

    @property
    def smallest(self) -> tuple[int, int]:
        """How many rows and columns the unknowns must have more than, for a residual to exist."""
        rows, columns = zip(*self.smaller, strict=True)
        return max(rows), max(columns)


@apply_settings()
def study(term: FlowTerm, at: LevelLinearisation) -> Structure:
    """Return the structure of a term; raise NotTakenApart if its residuals look too far."""
    count = len(at.planes)
    with explain_faults(term, _SMALL):
        # Traces the term as a whole, and so explains what cannot be traced.
        read = find_parts_read(term, at, _SMALL, find_residuals)
        structure = remember(_study, term, at, "structure", find_place(read, at))
    if structure is None:
        raise NotTakenApart(
            f"the residuals of {type(term).__name__} at a pixel depend on {_name_planes(count)} more than {_FARTHEST} "
            "pixels away"
        )
    return structure


@apply_settings()
def find_taps(term: FlowTerm, at: LevelLinearisation, structure: Structure) -> list[LocalResidual]:
    """Return the residuals of a term around the flow so far."""
    height, width = shape = at.planes[0].shape
    if height <= structure.smallest[0] or width <= structure.smallest[1]:
        return []
    with explain_faults(term, shape):
        values = None
        if not (structure.linear and structure.homogeneous):
            planes = tuple(map(np.zeros_like, at.planes)) if structure.linear else at.planes
            values = run(_evaluate, term, at.plain(), planes)
        if structure.constant:
            taps = structure.taps
        elif structure.weighted:
            taps = _weigh(term, at, structure)
        else:
            taps = _read_coefficients(term, at, structure)
    _check_finite(term, values or (), taps)
    padded = [None] * len(taps) if values is None else [_pad(value, shape) for value in values]
    return [
        LocalResidual(one, value, not structure.linear, (height - rows, width - columns))
        for one, value, (rows, columns) in zip(taps, padded, structure.smaller, strict=True)
    ]


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
                    f"first at row {row}, column {column}: {NOT_FINITE}"
                )


def _name_planes(count: int) -> str:
    return "the flow" if count == 2 else f"the {count} planes"


def _evaluate(term: FlowTerm, at: Linearisation, planes: Any) -> tuple[Any, ...]:
    return tuple(jnp.asarray(plane, jnp.float32) for plane in find_residuals(term, planes, at))


def _differentiate(term: FlowTerm, at: Linearisation, planes: Any, tangent: Any) -> tuple[Any, ...]:
    along: tuple[Any, ...] = jax.jvp(lambda *planes: _evaluate(term, at, planes), planes, tangent)[1]
    return along


def _probe(term: FlowTerm, at: Linearisation, planes: Any, reach: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """Return the residuals' changes along coloured patterns, (unknowns, colours along y, along x, h, w) each."""
    at = at.evaluate_derivatives()
    height, width = planes[0].shape
    period_y, period_x = reach[1] - reach[0] + 1, reach[3] - reach[2] + 1
    _, along = jax.linearize(lambda *planes: _evaluate(term, at, planes), *planes)
    rows, columns = jnp.arange(height)[:, None] % period_y, jnp.arange(width)[None] % period_x

    def color(number: Any) -> Any:
        unknown, rest = number // (period_y * period_x), number % (period_y * period_x)
        pattern = ((rows == rest // period_x) & (columns == rest % period_x)).astype(jnp.float32)
        return along(*(pattern * (unknown == k) for k in range(len(planes))))

    changes = jax.lax.map(color, jnp.arange(len(planes) * period_y * period_x))
    return tuple(plane.reshape(len(planes), period_y, period_x, *plane.shape[1:]) for plane in changes)


def _sort_by_offset(changes: Planes, reach: tuple[int, int, int, int]) -> Planes:
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


def _apply(coefficients: Planes, reach: tuple[int, int, int, int], planes: Any) -> Planes:
    """Return the sum of coefficients times the unknowns at their offsets."""
    _, count_y, count_x, height, width = coefficients.shape
    margin = 2 * _FARTHEST
    total = np.zeros((height, width), np.float32)
    for unknown, plane in enumerate(planes):
        padded = np.pad(plane, margin)
        for i, j in product(range(count_y), range(count_x)):
            top, left = margin + reach[0] + i, margin + reach[2] + j
            total += coefficients[unknown, i, j] * padded[top : top + height, left : left + width]
    return total


def _study(term: FlowTerm, at: LevelLinearisation) -> Structure | None:
    small = shrink(term, at, _SMALL)
    reach = (-_FARTHEST, _FARTHEST, -_FARTHEST, _FARTHEST)
    noise = [make_noise(at, _SMALL, seed) for seed in (0, 1)]
    small_shape = noise[0].planes[0].shape
    drawn, again = (_try_on_noise(small, one, reach) for one in noise)
    if drawn is None or again is None:
        return None
    (first, linear, homogeneous), (second, *_) = drawn, again
    taps, constant, weighted = [], True, True
    height, width = small_shape
    smaller = [(height - one.shape[-2], width - one.shape[-1]) for one in first]
    for one, other in zip(first, second, strict=True):
        found, is_constant, is_weighted = _compare(one, other)
        taps.append(found)
        constant, weighted = constant and is_constant, weighted and is_weighted
    if not any(taps):
        raise ValueError(
            f"the residuals of {type(term).__name__} do not depend on {_name_planes(len(at.planes))}. Do they round, "
            "or lies what they hold outside of the frames?"
        )
    read = find_parts_read(term, at, _SMALL, find_residuals)
    # What depends on the size of the frames is not what it is in small ones.
    constant = constant and not (read & _OF_SIZE or _holds_pictures(term, small))
    return Structure(taps, smaller, constant, weighted, linear, homogeneous, linear and read <= _SAME_AT_A_LEVEL)


def _holds_pictures(term: FlowTerm, small: FlowTerm) -> bool:
    """Return whether a term holds arrays that are smaller in small frames."""
    leaves = zip(jax.tree.leaves(term), jax.tree.leaves(small), strict=True)
    return any(np.shape(whole) != np.shape(part) for whole, part in leaves)


def _try_on_noise(
    term: FlowTerm, at: Linearisation, reach: tuple[int, int, int, int]
) -> tuple[list[Planes], bool, bool] | None:
    """Return the coefficients of each residual, and whether it is linear and homogeneous; None if it looks too far."""
    rng = np.random.default_rng(2)
    step = tuple(rng.normal(size=(len(at.planes), *at.planes[0].shape)).astype(np.float32))
    moved = tuple(a + b for a, b in zip(at.planes, step, strict=True))
    values, values_moved = (run(_evaluate, term, at, planes) for planes in (at.planes, moved))
    along = run(_differentiate, term, at, at.planes, step)
    if not all(np.isfinite(plane).all() for plane in (*values, *values_moved, *along)):
        raise NotTakenApart(f"the residuals of {type(term).__name__} are not finite for small frames of noise")
    coefficients, linear, homogeneous = [], True, True
    drawn = run(_probe, term, at, at.planes, reach), values, along, values_moved
    for changes, value, change, other in zip(*drawn, strict=True):
        sorted_changes = _sort_by_offset(np.asarray(changes), reach)
        coefficients.append(sorted_changes)
        size = float(np.abs(change).max())
        if not (np.isfinite(size) and np.allclose(_apply(sorted_changes, reach, step), change, 1e-3, 1e-4 * size)):
            return None
        linear &= np.allclose(other - value, change, rtol=1e-3, atol=1e-4 * size)
        homogeneous &= np.allclose(_apply(sorted_changes, reach, at.planes), value, rtol=1e-3, atol=1e-4 * size)
    return coefficients, linear, linear and homogeneous


def _compare(first: Planes, second: Planes) -> tuple[list[Tap], bool, bool]:
    """Return the taps that two draws of noise share, and whether they are constant, or so but for weights."""
    largest = max(float(np.abs(first).max()), float(np.abs(second).max()))
    seen = np.maximum(np.abs(first), np.abs(second)).max(axis=(-2, -1)) > _NOTHING * largest
    places = np.argwhere(seen)
    if not len(places):
        return [], True, True
    both = np.concatenate([one[seen].reshape(len(places), -1) for one in (first, second)], axis=1)
    # The factors of the pixel where the least of them stands out most; where each pixel lacks one, the largest.
    sizes = np.abs(both)
    standing_out = sizes.min(axis=0)
    factors = both[:, np.argmax(standing_out if standing_out.any() else sizes.max(axis=0))]
    constant = bool(np.allclose(both, factors[:, None], rtol=1e-4, atol=1e-5 * largest))
    reference = int(np.argmax(np.abs(factors)))
    weights = both[reference] / factors[reference]
    weighted = bool(np.allclose(both, factors[:, None] * weights, rtol=1e-3, atol=1e-5 * largest))
    taps = [
        Tap(int(unknown), (int(y) - _FARTHEST, int(x) - _FARTHEST), float(factor))
        for (unknown, y, x), factor in zip(places, factors, strict=True)
    ]
    return taps, constant, weighted


def _weigh(term: FlowTerm, at: LevelLinearisation, structure: Structure) -> list[list[Tap]]:
    """Return taps whose planes are the weights of the pixels.

    A weight is the change of the residual along some pattern, divided by what the taps alone make of that pattern.
    """
    shape = at.planes[0].shape
    low_y, high_y, low_x, high_x = structure.reach
    period = 2 * (high_y - low_y) + 1, 2 * (high_x - low_x) + 1

    # Of some random patterns, that which no residual is blind to at any pixel.
    patterns = np.random.default_rng(0).uniform(-1, 1, (len(at.planes), 200, *period))
    all_responses = np.stack(
        [
            sum(tap.factor * np.roll(patterns[tap.unknown], (-tap.offset[0], -tap.offset[1]), (-2, -1)) for tap in taps)
            for taps in structure.taps
            if taps
        ]
    )
    best = int(np.argmax(np.abs(all_responses).min(axis=(0, 2, 3))))
    repeats = [-(-length // step) for length, step in zip(shape, period, strict=True)]
    tangent, responses = (
        np.tile(planes, (1, *repeats))[:, : shape[0], : shape[1]].astype(np.float32)
        for planes in (patterns[:, best], all_responses[:, best])
    )
    along = run(_differentiate, term, at.plain(), at.planes, tuple(tangent))
    kept: list[Planes] = []
    out: list[list[Tap]] = []
    remaining = iter(responses)
    for taps, change in zip(structure.taps, along, strict=True):
        if not taps:  # a residual that does not depend on the flow
            out.append([])
            continue
        response = next(remaining)
        height, width = change.shape
        weights = _pad(np.asarray(change) / response[:height, :width], shape)
        same = next((one for one in kept if _are_alike(one, weights)), None)
        if same is None:
            kept.append(weights)
        plane = weights if same is None else same  # residuals of the same weights share their part of the system
        out.append([Tap(tap.unknown, tap.offset, tap.factor, plane) for tap in taps])
    return out


def _read_coefficients(term: FlowTerm, at: LevelLinearisation, structure: Structure) -> list[list[Tap]]:
    """Return taps whose planes are all coefficients."""
    shape, reach = at.planes[0].shape, structure.reach
    out = []
    for taps, changes in zip(structure.taps, run(_probe, term, at.plain(), at.planes, reach), strict=True):
        by_color = np.asarray(changes)
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


def _are_alike(one: Planes, other: Planes) -> bool:
    """Return whether two planes are equal but for rounding; most that are not differ in a few of their pixels."""
    return all(np.allclose(one[part], other[part], rtol=1e-4, atol=1e-7) for part in (np.s_[::16, ::16], np.s_[:]))


def _pad(plane: Any, shape: tuple[int, int]) -> Planes:
    array = np.asarray(plane, np.float32)
    return np.pad(array, [(0, whole - part) for whole, part in zip(shape, array.shape, strict=True)])
