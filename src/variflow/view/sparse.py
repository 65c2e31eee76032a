"""Which arrows stand for a flow: where they are, how long, and their outlines. Figures and films draw the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.base.types import Numbers

# An arrow of full scale is so many distances between arrows long: a little less than one, so that none reach another.
LENGTH = 0.9
# An arrow of an automatic scale is at most so many distances long; what is faster is drawn as an arrow that is cut.
LONGEST = 2.0
# Of full scale are all but this percentage of the arrows, or else half of all motion.
_FASTER = 1.0

# In distances between arrows: half the thickness of a shaft; the shortest and longest head, which in between is this
# share of its arrow; and, as shares of a head, half its breadth, and where its shaft begins. Arrows shorter than
# `_STILL` stand for no motion.
_SHAFT, _LEAST, _MOST, _SHARE, _BREADTH, _NOTCH = 0.055, 0.32, 0.45, 0.5, 0.36, 0.88
_STILL = 0.02

# Less motion than this, px, is none: one could not divide by it.
_LEAST_MOTION = 1e-30

# The median in a cell is of the means in at most so many blocks along each side; one of every pixel would take long.
_BLOCKS = 8


@dataclass(frozen=True, eq=False, repr=False)
class SparseFlow(Brief):
    """The flow at the places of arrows.

    Attributes
    ----------
    x, y : (N,) float64
        The places, px: the middle of what is known of each cell.
    u, v : (N,) float64
        The medians of the flow in each cell.
    step : float
        The distance between arrows, px.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    step: float


def thin_out(flow: Numbers, step: int) -> SparseFlow:
    """Return the medians of a flow in square cells of `step` px, of those cells that know about as much as most.

    So the noise of single pixels does not show, and an edge in the flow stays sharp. The cells lie in the middle of the
    frame; margins of less than half a cell are left out. Cells without a known pixel are left out, and those with less
    than half as many as cells with any usually have.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.view.sparse import thin_out
    >>> flow = np.ones((20, 31, 2))
    >>> flow[4, 7] = 1000
    >>> sparse = thin_out(flow, 10)
    >>> sparse.x.tolist(), sparse.y.tolist(), sparse.u.tolist()
    ([4.5, 14.5, 24.5, 4.5, 14.5, 24.5], [4.5, 4.5, 4.5, 14.5, 14.5, 14.5], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    (rows, of_rows), (columns, of_columns) = (_divide(size, step) for size in flow.shape[:2])
    inner = flow[of_rows[0] : of_rows[-1], of_columns[0] : of_columns[-1]]
    known = np.isfinite(inner[..., 0]) & np.isfinite(inner[..., 1])
    filled = inner if known.all() else np.where(known[..., None], inner, np.float32(0))
    sums, counts = _sum_blocks(filled, of_rows, of_columns), _sum_blocks(known.view(np.uint8), of_rows, of_columns)
    places = np.meshgrid(
        (of_rows[:-1] + of_rows[1:] - 1) / 2, (of_columns[:-1] + of_columns[1:] - 1) / 2, indexing="ij"
    )
    blocks = np.stack([*np.moveaxis(sums, 2, 0), counts, *places]).astype(np.float64)
    blocks = blocks.reshape(5, rows, blocks.shape[1] // rows, columns, -1).swapaxes(2, 3).reshape(5, rows * columns, -1)
    known_pixels = blocks[2].sum(axis=1)
    enough = known_pixels >= max(np.median(known_pixels[known_pixels > 0]) / 2, 1) if known.any() else known_pixels > 0
    of_u, of_v, count, of_y, of_x = blocks[:, enough]
    y, x = ((count * place).sum(axis=1) / count.sum(axis=1) for place in (of_y, of_x))
    with np.errstate(invalid="ignore"):
        u, v = (np.nanmedian(total / count, axis=1) for total in (of_u, of_v))
    return SparseFlow(x, y, u, v, step)


def _divide(size: int, step: int) -> tuple[int, NDArray[np.intp]]:
    """Return how many cells lie along a side, and the borders of the blocks into which these are divided."""
    cell = min(step, size)
    cells = size // cell
    within = np.arange(min(cell, _BLOCKS)) * cell // min(cell, _BLOCKS)
    first = (size - cells * cell) // 2 + cell * np.arange(cells + 1)
    return cells, np.append((first[:-1, None] + within).ravel(), first[-1])


def _sum_blocks(values: Numbers, of_rows: NDArray[np.intp], of_columns: NDArray[np.intp]) -> Numbers:
    """Return the sums of values in blocks that begin at the first of these borders."""
    kind = np.promote_types(values.dtype, np.float32)
    in_rows = np.add.reduceat(values, of_rows[:-1] - of_rows[0], axis=0, dtype=kind)
    return np.add.reduceat(in_rows, of_columns[:-1] - of_columns[0], axis=1, dtype=np.float64)


def choose_speed(sparse: SparseFlow) -> float:
    """Return the speed at full scale, px: few arrows are faster, and these do not make up most of the motion.

    Where most of the frame hardly moves, so that little else than noise is below the percentile, a thing that is small
    and fast makes up half of all motion.
    """
    speeds = np.hypot(sparse.u, sparse.v)
    total = float(speeds.sum())
    if not _LEAST_MOTION < total < np.inf:
        return 1.0
    ordered = np.sort(speeds)
    of_half = ordered[np.searchsorted(np.cumsum(ordered), total / 2)]
    return float(max(np.percentile(speeds, 100 - _FASTER), of_half))


def outline(
    sparse: SparseFlow, longer: float, *, most: float = np.inf, centred: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the outlines of arrows that are `longer` times the flow, in pixels.

    An arrow shorter than its head is a head alone. So the direction is seen at any length.

    Parameters
    ----------
    sparse : SparseFlow
        The flow; there are as many arrows, in the same order.
    longer : float
        The length of an arrow by the displacement.
    most : float
        The length, px, at which arrows are cut.
    centred : bool
        Whether the middle of an arrow is at its place, rather than its end.

    Returns
    -------
    corners : (N, 7, 2) float64
        The corners (x, y). The fourth is the tip; the first and the last are the end, or the neck of a head alone.
    still : (N,) bool
        Where an arrow is so short that it stands for no motion.
    cut : (N,) bool
        Where it is cut.
    """
    wanted, angle = longer * np.hypot(sparse.u, sparse.v), np.arctan2(sparse.v, sparse.u)
    cosine, sine = np.cos(angle), np.sin(angle)
    along, across = np.stack([cosine, sine], axis=1), np.stack([-sine, cosine], axis=1)
    head = np.clip(_SHARE * wanted, _LEAST * sparse.step, _MOST * sparse.step)
    length = np.clip(wanted, head, most)
    shaft, barb = np.full_like(head, _SHAFT * sparse.step), _BREADTH * head
    end = -length / 2 if centred else np.zeros_like(length)
    tip = end + length
    neck = tip - _NOTCH * head
    half = [(np.where(wanted < head, neck, end), shaft), (neck, shaft), (tip - head, barb)]
    sides = [*half, (tip, np.zeros_like(tip)), *((place, -side) for place, side in half[::-1])]
    places = np.stack([sparse.x, sparse.y], axis=1)
    corners = np.stack([places + a[:, None] * along + b[:, None] * across for a, b in sides], axis=1)
    return corners, wanted < _STILL * sparse.step, wanted > most
