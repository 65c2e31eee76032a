"""Precondition the Hessian of an energy on all scales at once, knowing only its products with vectors.

On a grid, an iteration of conjugate gradients carries news to the next pixels only. So a residual is also restricted to
coarser and coarser grids, divided on each by the 2 x 2 diagonal blocks of the Hessian there, and all results are added:
the preconditioner of Bramble, Pasciak and Xu (Parallel multilevel preconditioners, 1990). The number of iterations then
hardly grows with the frame.

The blocks are read off products with a few patterns. On the finest grid every second pixel is probed at once, so the
blocks are exact where a pixel is coupled to its eight neighbours. Each block is the sum of its row, found by the
product with a constant (what the data add), and a rest (what smoothness adds). On a coarser grid both keep their
pattern, and one product with a pattern of that grid says how large they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Pair = tuple[Any, Any]

# The coarsest grid has a side of at most so many pixels, and there are at most so many grids.
_COARSEST, _MOST_GRIDS = 8, 7
# The smaller absolute eigenvalue of a block counts as at least this share of the larger.
_FLOOR = 1e-6
# Products with patterns of one colour and unknown, and with constants.
_COLOURED, _CONSTANT = 8, 2
# Along x, grids are interpolated within blocks of so many pixels.
_BLOCK = 32


class _Seen(NamedTuple):
    """What the products have shown.

    Blocks and sums of rows are stacked, (3, H, W): uu, uv and vv. For each coarser grid, `scales` has the product of
    the Hessian with its pattern, and what the sums of rows would give.
    """

    blocks: Any
    rows: Any
    scales: Any


def list_grids(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes of all grids, the finest first."""
    sizes = [shape]
    while max(sizes[-1]) > _COARSEST and min(sizes[-1]) > 1 and len(sizes) < _MOST_GRIDS:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def make_zero(shape: tuple[int, int]) -> list[Any]:
    """Return a preconditioner of the right form that is not made yet."""
    return [jnp.zeros((3, *size), jnp.float32) for size in list_grids(shape)]


def make(multiply: Callable[[Pair], Pair], shape: tuple[int, int]) -> list[Any]:
    """Return the inverse blocks of each grid, the finest first; `multiply` multiplies the Hessian by planes (u, v)."""
    sizes = list_grids(shape)
    zero = jnp.zeros((3, *shape), jnp.float32)
    seen = _Seen(zero, zero, jnp.zeros((len(sizes), 2), jnp.float32))
    count = _COLOURED + _CONSTANT + len(sizes) - 1
    seen = jax.lax.fori_loop(0, count, lambda index, seen: _look(index, seen, multiply, shape), seen)
    parts = jnp.concatenate([seen.rows, seen.blocks - seen.rows])
    total = (seen.rows[0] + seen.rows[2]).sum()
    blocks, shares = [seen.blocks.reshape(3, -1)], [jnp.ones(shape, jnp.float32).ravel()]
    for index in range(1, len(sizes)):
        parts = _restrict(parts)
        rows, rest = parts[:3].reshape(3, -1), parts[3:].reshape(3, -1)
        whole, of_rows = seen.scales[index]
        rows = rows * _divide(of_rows, total)
        rest = rest * jnp.clip(_divide(whole - of_rows, (rest[0] + rest[2]).sum()), 0, 1)
        blocks.append(rows + rest)
        # Where nothing is smoothed, a coarser grid has nothing to add.
        shares.append(jnp.clip(_divide(rest[0] + rest[2], (rows + rest)[0] + (rows + rest)[2]), 0, 1))
    inverse = _invert(jnp.concatenate(blocks, 1), jnp.concatenate(shares))
    ends = np.cumsum([height * width for height, width in sizes])[:-1].tolist()
    return [part.reshape(3, *size) for part, size in zip(jnp.split(inverse, ends, 1), sizes, strict=True)]


def _look(index: Any, seen: _Seen, multiply: Callable[[Pair], Pair], shape: tuple[int, int]) -> _Seen:
    """Add what one more product shows."""
    y, x = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None]
    unknown, colour = index % 2, index // 2
    here, level = index < _COLOURED, index - _COLOURED - _CONSTANT + 1
    coloured = jnp.where((y % 2 == colour // 2) & (x % 2 == colour % 2), 1.0 - 2.0 * (y // 2 % 2), 0.0)
    alone = jnp.where(here, coloured, 1.0)
    tried = tuple(
        jnp.where(level > 0, _wave(y, level, which) * _wave(x, level, which), jnp.where(unknown == which, alone, 0.0))
        for which in (0, 1)
    )
    u, v = multiply((tried[0], tried[1]))
    none = jnp.zeros_like(u)
    product = jnp.where(unknown == 0, jnp.stack([u, v, none]), jnp.stack([none, none, v]))
    whole = (tried[0] * u + tried[1] * v).sum()
    of_rows = (seen.rows[0] * tried[0] ** 2 + seen.rows[2] * tried[1] ** 2).sum()
    return _Seen(
        seen.blocks + jnp.where(here, product * coloured, 0),
        seen.rows + jnp.where(~here & (level <= 0), product, 0),
        seen.scales.at[jnp.maximum(level, 0)].set(jnp.stack([whole, of_rows])),
    )


def _wave(place: Any, level: Any, phase: int) -> Any:
    """Return a wave of triangles whose extremes are the pixels of a coarser grid, or lie between them."""
    at = (place + 0.5) / 2.0**level - 0.5 + 0.5 * phase
    return 2 * jnp.abs(at % 2 - 1) - 1


def _invert(blocks: Any, factor: Any) -> Any:
    """Return the inverse blocks times a factor, with the absolute values of eigenvalues, which are floored."""
    a, b, c = blocks
    mean, half = (a + c) / 2, (a - c) / 2
    radius = jnp.sqrt(half**2 + b**2)
    large, small = jnp.abs(mean + radius), jnp.abs(mean - radius)
    largest = jnp.maximum(large, small)
    # Where an energy is not curved at all, any positive block will do.
    instead = jnp.where(largest.max() > 0, largest.max(), 1)
    of_large, of_small = (
        factor / jnp.where(largest > 0, jnp.maximum(value, _FLOOR * largest), instead) for value in (large, small)
    )
    middle, slope = (of_large + of_small) / 2, _divide((of_large - of_small) / 2, radius)
    return jnp.stack([middle + slope * half, slope * b, middle - slope * half])


def apply(levels: list[Any], residual: Pair) -> Pair:
    """Return the preconditioned residual."""
    u, v = _apply(levels, jnp.stack(residual))
    return u, v


def _apply(levels: list[Any], residual: Any) -> Any:
    (a, b, c), (u, v) = levels[0], residual
    own = jnp.stack([a * u + b * v, b * u + c * v])
    return own if len(levels) == 1 else own + _prolong(_apply(levels[1:], _restrict(residual)), u.shape)


def _prolong(planes: Any, shape: tuple[int, int]) -> Any:
    """Interpolate planes (K, H, W) to the next finer grid: linearly, along x within blocks of pixels."""
    count, height, width = planes.shape
    blocks = jnp.pad(planes, ((0, 0), (0, 0), (0, -width % (_BLOCK // 2)))).reshape(-1, _BLOCK // 2) @ _weights().T
    planes = blocks.reshape(count, height, -1)[..., : shape[1]]
    before, after = (
        jnp.concatenate(parts, 1) for parts in ((planes[:, :1], planes[:, :-1]), (planes[:, 1:], planes[:, -1:]))
    )
    rows = jnp.stack([0.75 * planes + 0.25 * before, 0.75 * planes + 0.25 * after], 2)
    return rows.reshape(count, -1, shape[1])[:, : shape[0]]


def _restrict(planes: Any) -> Any:
    """Sum planes (K, H, W) to the next coarser grid: the transpose of `_prolong`."""
    count, height, width = planes.shape
    planes = jnp.pad(planes, ((0, 0), (0, height % 2), (0, -width % _BLOCK)))
    even, odd = planes[:, ::2], planes[:, 1::2]
    others = jnp.concatenate([even[:, 1:], odd[:, -1:]], 1) + jnp.concatenate([even[:, :1], odd[:, :-1]], 1)
    rows = 0.75 * (even + odd) + 0.25 * others
    blocks = rows.reshape(-1, _BLOCK) @ _weights()
    return blocks.reshape(count, rows.shape[1], -1)[..., : (width + 1) // 2]


def _weights() -> Any:
    """Return the weights that sum a block of pixels to half as many.

    The product of matrices also keeps XLA from fusing the grids into one computation, which takes minutes to compile.
    """
    fine, coarse = np.arange(_BLOCK)[:, None], np.arange(_BLOCK // 2)[None]
    neighbour = np.clip(fine // 2 + np.where(fine % 2, 1, -1), 0, _BLOCK // 2 - 1)
    return jnp.asarray(0.75 * (fine // 2 == coarse) + 0.25 * (neighbour == coarse), jnp.float32)


def _divide(numerator: Any, denominator: Any) -> Any:
    """Divide; what is divided by 0 is 0."""
    nothing = denominator == 0
    return jnp.where(nothing, 0, numerator / jnp.where(nothing, 1, denominator))
