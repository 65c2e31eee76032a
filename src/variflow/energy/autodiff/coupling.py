"""Find out which pixels the second derivative of an energy couples, and read all of it from a few products.

A small frame of noise shows where the Hessian is not zero. Where each pixel is coupled with near ones only, a product
with a coloured pattern, which is 1 at every so many pixels and 0 elsewhere, shows an entry of each row at once.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from variflow.energy.autodiff.curvature import make_function
from variflow.energy.autodiff.noise import (
    find_parts_read,
    find_place,
    is_alike_in,
    looks_past,
    make_noise,
    remember,
    shrink,
)
from variflow.energy.autodiff.parts import Parts
from variflow.energy.autodiff.programs import Call, run
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation

# How far pixels may be coupled, and the size of the frames of noise, which show what is coupled farther, too.
_FARTHEST = 4
_SMALL = (2 * _FARTHEST + 3, 2 * _FARTHEST + 4)
# More patterns than this take more time than the steps save.
_MOST_PATTERNS = 48
# So many products at most are computed at once: each that is more shares what precedes them all, but makes the program
# longer.
_AT_ONCE = 12
# Entries below this share of the largest are rounding errors.
_NOTHING = 1e-6
# The noise on which an energy is tried has increments of this standard deviation, in pixels.
_MOVED = 0.5

Increments = tuple[Any, ...]
Entry = tuple[int, int, tuple[int, int, int]]

_HERE = (0, 0, 0)


@dataclass(frozen=True)
class Coupling:
    """Where a Hessian is not zero, and the patterns that show its entries.

    Attributes
    ----------
    entries : tuple of (unknown, unknown, (0, y, x))
        Which unknown (0 is u, 1 is v) of a pixel is coupled with which unknown of the pixel at an offset. Of two that
        follow from each other by symmetry there is one.
    patterns : int
        How many patterns there are.
    steps : (int, int)
        Pattern n is 1 in the unknown k of a pixel where ``x + steps[0] y + steps[1] k`` is n, modulo their number.
    """

    entries: tuple[Entry, ...]
    patterns: int
    steps: tuple[int, int]

    @property
    def group(self) -> int:
        """How many products are computed at once."""
        groups = -(-self.patterns // _AT_ONCE)
        return -(-self.patterns // groups)


def find_coupling(energy: Energy, at: Linearisation) -> Coupling | None:
    """Return which pixels an energy couples; None if it couples many, or pixels far apart, or cannot be tried."""
    found: Coupling | None = remember(_find_here, energy, at, "coupling here", at.level, at.scale, at.shape)
    return found


def leaves_flat_ground_free(energy: Energy, at: Linearisation) -> bool:
    """Return whether nothing in an energy determines the flow where the frames are flat; small ones tell."""
    free: bool = remember(_leaves_flat_ground_free, energy, at, "flat ground", at.level, at.scale, at.shape)
    return free


def take_parts(energy: Energy, at: Linearisation) -> Parts:
    """Return the parts of a linearisation that an energy reads."""
    return Parts.take(at, find_parts_read(energy, at, _call))


def evaluate(energy: Energy, parts: Parts, increments: Planes) -> tuple[float, Planes]:
    """Return the energy at increments (K, 1, H, W), and its gradient."""
    value, gradient = _call_derivative(energy, parts, increments).run()
    return float(value), np.stack(gradient)[:, None]


def multiply_patterns(energy: Energy, coupling: Coupling, parts: Parts, increments: Planes) -> Planes:
    """Return the products of the Hessian at increments (K, 1, H, W) with all patterns, (patterns, K, 1, H, W)."""
    products = np.empty((coupling.patterns, *increments.shape), np.float32)
    for first in range(0, coupling.patterns, coupling.group):
        found = _call_products(energy, coupling, parts, increments, first).run()
        for of_pattern, planes in zip(products[first:], found, strict=False):
            of_pattern[:, 0] = planes
    return products


def list_calls(energy: Energy, coupling: Coupling, at: LevelLinearisation) -> list[Call]:
    """Return the calls of programs that a level takes."""
    parts, still = take_parts(energy, at), np.zeros((len(at.planes), 1, *at.shape), np.float32)
    return [_call_derivative(energy, parts, still), _call_products(energy, coupling, parts, still, 0)]


def _call_derivative(energy: Energy, parts: Parts, increments: Planes) -> Call:
    return Call(_differentiate, (energy, parts, tuple(increments[:, 0])))


def _call_products(energy: Energy, coupling: Coupling, parts: Parts, increments: Planes, first: int) -> Call:
    """Return the call of the products with one group of patterns, which begins with number `first`."""
    planes = tuple(map(jnp.asarray, increments[:, 0]))
    numbers = _number_patterns(coupling, (len(increments), *parts.shape))
    tangents = [tuple((numbers == number).astype(np.float32)) for number in range(first, first + coupling.group)]
    return Call(_multiply, (energy, parts, planes, tangents))


@lru_cache(maxsize=4)
def _number_patterns(coupling: Coupling, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the number of the pattern that is 1 in each unknown of each pixel, (K, H, W)."""
    by_y, by_unknown = coupling.steps
    unknown, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    numbers: NDArray[np.uint8] = ((x + by_y * y + by_unknown * unknown) % coupling.patterns).astype(np.uint8)
    return numbers


def _call(energy: Energy, d: Increments, at: Linearisation) -> Any:
    return energy(d, at)


def _call_inside(energy: Energy, d: Increments, at: Linearisation) -> Any:
    """Call the function that is under jax.jit, which takes nothing that records, or else the energy itself."""
    return inspect.unwrap(energy)(d, at) if isinstance(energy, jax.stages.Wrapped) else energy(d, at)


def _differentiate(energy: Energy, parts: Parts, increments: Increments) -> Any:
    """Return the energy and its gradient."""
    return jax.value_and_grad(make_function(energy, parts.assemble()))(increments)


def _multiply(energy: Energy, parts: Parts, increments: Increments, tangents: list[Increments]) -> Any:
    """Return the products of the Hessian with tangents."""
    _, multiply = jax.linearize(jax.grad(make_function(energy, parts.assemble())), increments)
    return [multiply(one) for one in tangents]


def _find_here(energy: Energy, at: Linearisation) -> Coupling | None:
    if not is_alike_in(energy, at, _SMALL, _call_inside):
        return None
    place = find_place(find_parts_read(energy, at, _call_inside), at)
    found: Coupling | None = remember(_find_coupling, energy, at, "coupling", place)
    return found


def _find_coupling(energy: Energy, at: Linearisation) -> Coupling | None:
    seen, count = set[Entry](), len(at.planes)
    for seed in (0, 1):
        noise = make_noise(at, _SMALL, seed)
        increments = _MOVED * np.random.default_rng(seed).standard_normal((count, *_SMALL)).astype(np.float32)
        try:
            hessian = np.asarray(run(_multiply_all, shrink(energy, at, _SMALL), noise, tuple(increments)))
        except Exception:  # such as of an energy that holds arrays of the size of the frames
            return None
        seen |= _list_entries(hessian)
    if not seen or max(abs(distance) for _, _, offset in seen for distance in offset) > _FARTHEST:
        return None
    if looks_past(energy, at, _SMALL, _call):
        return None
    return _choose_patterns(seen, count)


def _leaves_flat_ground_free(energy: Energy, at: Linearisation) -> bool:
    if not is_alike_in(energy, at, _SMALL, _call_inside):
        return False
    noise = make_noise(at, _SMALL)
    even = {name: np.full_like(getattr(noise, name), 0.5) for name in ("frame0", "frame1", "second")}
    flat = replace(noise, **even, guide=np.full_like(noise.guide, 50.0))
    increments = _MOVED * np.random.default_rng(0).standard_normal((len(at.planes), *_SMALL)).astype(np.float32)
    try:
        small = shrink(energy, at, _SMALL)
        textured, free = (np.asarray(run(_multiply_all, small, frames, tuple(increments))) for frames in (noise, flat))
    except Exception:  # as above
        return False
    y, x = (length // 2 for length in _SMALL)
    return bool(textured.any()) and any(free[unknown, y, x, unknown, y, x] == 0 for unknown in (0, 1))


def _multiply_all(energy: Energy, at: Linearisation, increments: Increments) -> Any:
    """Return the Hessian at increments, (K, H, W, K, H, W)."""
    _, multiply = jax.linearize(jax.grad(make_function(energy, at.evaluate_derivatives())), increments)
    shape = (len(increments), *increments[0].shape)
    units = jnp.eye(np.prod(shape), dtype=jnp.float32).reshape(-1, *shape)
    return jax.vmap(lambda unit: jnp.stack(multiply(tuple(unit))))(units).reshape(*shape, *shape)


def _list_entries(hessian: Planes) -> set[Entry]:
    places = np.argwhere(np.abs(hessian) > _NOTHING * np.abs(hessian).max())
    entries = np.unique(np.column_stack([places[:, 0], places[:, 3], places[:, 4:] - places[:, 1:3]]), axis=0)
    return {(first, second, (0, y, x)) for first, second, y, x in entries.tolist()}


def _choose_patterns(seen: set[Entry], count: int) -> Coupling | None:
    """Return the fewest patterns of which each row of the matrix meets a different one with each of its entries."""
    both = seen | {(second, first, (-z, -y, -x)) for first, second, (z, y, x) in seen}
    rows = [[(second, y, x) for first, second, (_, y, x) in both if first == unknown] for unknown in range(count)]
    entries = tuple(
        sorted(entry for entry in both if entry[0] < entry[1] or (entry[0] == entry[1] and entry[2] >= _HERE))
    )
    for patterns in range(max(map(len, rows)), _MOST_PATTERNS + 1):
        for by_y, by_unknown in product(range(patterns), repeat=2):
            met = [{(x + by_y * y + by_unknown * unknown) % patterns for unknown, y, x in row} for row in rows]
            if all(len(numbers) == len(row) for numbers, row in zip(met, rows, strict=True)):
                return Coupling(entries, patterns, (by_y, by_unknown))
    return None
