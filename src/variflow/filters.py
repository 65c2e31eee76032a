"""Filter the flow after the last warp of a level.

A filter is a callable ``(flow, at) -> flow`` of planes ``(u, v)``, where `at` is the linearisation of the last warp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from variflow import _core
from variflow.base.arrays import FLOWS, as_single
from variflow.base.choices import check_choice, check_number, check_whole, check_window, keep
from variflow.base.kinds import is_number, name_kind
from variflow.images.resampling import Planes, stack

if TYPE_CHECKING:
    from variflow.linearisation.level import LevelLinearisation
    from variflow.linearisation.linearisation import Linearisation

__all__ = ["Filter", "Median", "WeightedMedian", "median"]


def __dir__() -> list[str]:
    return sorted(__all__)


# Where a filtered flow is farther than `_FAR` pixels from the one before it, the gradients' mismatch along both, over
# `_AROUND` x `_AROUND` pixels, tells which to take.
_FAR, _AROUND = 0.7, 5
# Mismatches, in pixels: above the first they all say the same, and below the second they say nothing. Where the weights
# by visibility have a smaller mean than the third, a pixel is hidden, and its flow matches by chance.
_MOST, _LEAST, _VISIBLE = 3.0, 0.1, 0.25

Filter = Callable[[tuple[Planes, Planes], "Linearisation"], tuple[Planes, Planes]]


def apply_filter(
    function: Filter, flow: tuple[Planes, Planes], at: LevelLinearisation, where: str
) -> tuple[Planes, Planes]:
    """Filter the flow and check what the filter returned; `where` names the level in errors.

    A filter that a user wrote gets copies, so it may write into them. It may return any two planes of finite numbers.

    Raises
    ------
    TypeError, ValueError
        If it returns anything else.
    """
    if type(function) in (Median, WeightedMedian):
        return function(flow, at)
    u, v = flow
    returned = function((u.copy(), v.copy()), at.copy())
    what = f"filter returned {{}} at {where}, wanted the planes (u, v), each {u.shape}"
    try:
        planes = list(returned)
    except TypeError:
        raise TypeError(what.format(name_kind(returned))) from None
    try:
        planes = [np.asanyarray(plane) for plane in planes]
    except ValueError:
        raise TypeError(what.format("what NumPy cannot read as planes")) from None
    if [plane.shape for plane in planes] != [u.shape, u.shape]:
        shapes = " and ".join(str(plane.shape) for plane in planes[:4])
        raise ValueError(what.format(f"{len(planes)} planes" + (f" of shape {shapes}" if len(planes) < 5 else "")))
    if not all(is_number(plane.dtype) for plane in planes):
        raise TypeError(what.format(f"planes of {planes[0].dtype} and {planes[1].dtype}") + " of real numbers")
    with np.errstate(over="ignore"):
        u, v = (np.ma.filled(plane.astype(np.float32, order="C"), np.nan) for plane in planes)
    unknown = np.count_nonzero(~(np.isfinite(u) & np.isfinite(v)))
    if unknown:
        raise ValueError(what.format(f"a flow that is not finite at {unknown} pixels") + " of finite numbers")
    return u, v


def median(flow: tuple[Planes, Planes], size: Literal[3, 5]) -> tuple[Planes, Planes]:
    """Take the median of each component over a window of `size` x `size` pixels, the border replicated.

    It removes outliers and sharpens motion edges. Sun, Roth and Black (Secrets of optical flow estimation and their
    principles, CVPR 2010) show why it is as much a part of a model as the penalties are.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.filters import median
    >>> u = np.zeros((3, 3), np.float32); u[1, 1] = 9
    >>> bool(median((u, u), 3)[0].any())
    False
    """
    u, v = (_core.median(as_single(plane, "flow", file=FLOWS)[None], size)[0] for plane in flow)
    return u, v


@dataclass(frozen=True)
class Median:
    """A median filter of each component of the flow (see `median`).

    Parameters
    ----------
    size : {3, 5}
        Side of the window in pixels. 5 removes larger outliers, and thinner objects with them.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.filters import Median
    >>> u = np.zeros((5, 5), np.float32); u[2, 2] = 9
    >>> bool(Median(5)((u, u), at=None)[0].any())
    False
    """

    size: Literal[3, 5] = 5

    def __post_init__(self) -> None:
        keep(self, size=check_choice("size of Median", self.size, (3, 5)))

    def __call__(self, flow: tuple[Planes, Planes], at: Linearisation | None) -> tuple[Planes, Planes]:
        """Return the filtered flow."""
        return median(flow, self.size)


@dataclass(frozen=True)
class WeightedMedian:
    """A weighted median near motion edges, a plain one elsewhere.

    Near a motion edge the flow at a pixel becomes the weighted median over a large window. Neighbours count more if
    they are near, look alike (``at.guide``) and are visible in the second frame. So motion edges move to image edges.
    Where hardly any pixel around is visible, as in the middle of what another surface covers, the window is wider.
    The motion edges are found in the flow after a plain median; the weighted median takes the flow before it.

    Parameters
    ----------
    window : int
        Side of the window in pixels, odd; typically 9 to 21. A larger window corrects edges that lie farther off; the
        time grows with the square of its side.
    spatial : float
        Standard deviation in pixels of the weight by distance; typically half the window. Larger trusts far
        neighbours more.
    color, lightness : float
        Standard deviations of the weights by colour and by lightness, in the unit of ``at.guide``, CIE Lab; typically
        1.5 to 5 and half as much again, because shading changes the lightness of a surface more than its colour.
        Smaller separates surfaces that look more alike, and is more easily misled by texture. Of gray frames only the
        lightness counts.
    step : {1, 2, 3}
        1 weighs every pixel of the window; 2 about a quarter of them, in a third of the time; 3 a ninth, in a fifth of
        the time. The pixels lie evenly around the centre if the window is larger than a multiple of the step by 1.
    edge : float
        A motion edge has a gradient of the flow above this, in pixels per pixel; typically 0.1 to 0.5. Smaller filters
        more pixels.
    ratio : float
        A motion edge has a gradient above this many times its mean over the window; typically 2 to 4. Larger protects
        smooth motion with strong gradients, such as that of fluids; 0 protects nothing.
    dilation : int
        How far around an edge the flow is filtered, in pixels; typically 3 to 7.
    size : {3, 5}
        Window of the plain median elsewhere.
    smoothing : float
        Standard deviation in pixels of a Gaussian that smooths the flow away from motion edges, after the plain median;
        typically 0.5 to 1.5, or 0 for none. Larger removes more of the small steps that a robust penalty leaves, and
        blurs small vortices.
    divergence : float
        A neighbour counts less where the flow converges, because one surface covers another there. This is the standard
        deviation of that weight, in pixels per pixel; typically 0.2 to 0.5. Smaller discounts more.
    steepness : float
        A neighbour counts less where the flow is steep, because it lies between two motions. This is the standard
        deviation of that weight, in pixels per pixel; typically 0.3 to 1. Smaller discounts more.
    difference, mismatch : float
        A neighbour counts less where the frames do not match. These are the standard deviations of that weight: by the
        temporal difference, in frames with range [0, 1], typically 0.02 to 0.1; and by ``at.mismatch`` in pixels,
        typically 0.2 to 1. Smaller discounts more.
    widening : int
        How many times wider the window is where hardly any pixel around is visible; typically 2 to 4, or 1 for no
        wider. As many neighbours are weighed, farther apart. Larger fills what is covered from farther off.
    hidden : float
        The window is wider where these weights by visibility have a mean below this, over half the window; typically
        0.02 to 0.1. Larger takes the wider window in more places, and trusts a right start less.
    worse : float
        At small levels, the flow before the filter is kept where the frames match so many times worse along the
        filtered one; typically 1.1 to 2, or infinity to keep it nowhere. Else a small thing that moves by itself would
        be outvoted by what is around it. Smaller keeps smaller things, and more of what is wrong at motion edges.
    small : float
        A level is small whose size is below this, relative to the frames; typically 0.4 to 0.8. Larger keeps smaller
        things, and what is wrong at motion edges is filtered at fewer levels.

    References
    ----------
    D. Sun, S. Roth and M. J. Black, Secrets of optical flow estimation and their principles, CVPR 2010.
    J. Xiao, H. Cheng, H. Sawhney, C. Rao and M. Isnardi, Bilateral filtering-based optical flow estimation with
    occlusion detection, ECCV 2006.
    P. Sand and S. Teller, Particle video: long-range motion estimation using point trajectories, IJCV 80, 2008
    (occlusion by divergence and difference).

    Examples
    --------
    >>> from variflow.filters import WeightedMedian
    >>> WeightedMedian(dilation=3).window
    15
    """

    window: int = 15
    spatial: float = 8.0
    color: float = 2.1
    lightness: float = 3.5
    step: Literal[1, 2, 3] = 2
    edge: float = 0.2
    ratio: float = 3.0
    dilation: int = 5
    size: Literal[3, 5] = 5
    smoothing: float = 1.0
    divergence: float = 0.3
    steepness: float = 0.7
    difference: float = 15 / 255
    mismatch: float = 0.5
    widening: int = 3
    hidden: float = 0.03
    worse: float = 1.15
    small: float = 0.45

    def __post_init__(self) -> None:
        def named(field: str) -> tuple[str, Any]:
            return f"{field} of WeightedMedian", getattr(self, field)

        keep(
            self,
            window=check_window(*named("window"), 255),
            dilation=check_whole(*named("dilation"), 0, 255, "a whole number of pixels"),
            widening=check_whole(*named("widening"), 1, 10),
            step=check_choice(*named("step"), (1, 2, 3)),
            size=check_choice(*named("size"), (3, 5)),
            **{
                name: check_number(*named(name), above=0)
                for name in ("spatial", "color", "lightness", "divergence", "steepness", "difference", "mismatch")
            },
            **{name: check_number(*named(name), least=0) for name in ("edge", "ratio", "hidden", "small")},
            smoothing=check_number(*named("smoothing"), least=0, most=100),
            worse=check_number(*named("worse"), least=1, infinite=True),
        )

    def __call__(self, flow: tuple[Planes, Planes], at: Linearisation) -> tuple[Planes, Planes]:
        """Return the filtered flow; it looks at the guide and the misfit, and at small levels at the frames."""
        planes = stack([as_single(plane, "flow", file=FLOWS) for plane in flow])
        plain = _core.median(planes, self.size)
        edges = _core.motion_edges(plain, self.edge, self.ratio, self.window, self.dilation)
        deviations = self.divergence, self.steepness, self.difference, self.mismatch
        visible = _core.visibility(planes, at.It, at.mismatch[None], deviations)
        filtered = _core.smooth_apart(plain, edges, self.smoothing) if self.smoothing else plain
        filtered = _core.weighted_median(
            planes,
            filtered,
            _core.mark_hidden(edges, visible, 2 * (self.window // 4) + 1, self.hidden),
            at.guide,
            visible,
            self.window,
            self.step,
            self.spatial,
            self.color,
            self.lightness,
            self.widening,
        )
        if max(at.scale) < self.small and self.worse < math.inf:
            filtered = self._keep_what_matches(planes, filtered, visible, at)
        u, v = filtered
        return u, v

    def _keep_what_matches(self, flow: Planes, filtered: Planes, visible: Planes, at: Linearisation) -> Planes:
        """Return the filtered flow, but the flow before it where the frames match clearly worse along the filtered."""
        u, v = filtered
        if not _core.count_moved(flow[0], flow[1], u, v, _FAR):
            return filtered
        # The last warp hardly moved the flow, so its linearisation tells the mismatch before the filter.
        valid = at.valid.astype(np.float32)
        pair = _core.FramePair(at.frame0, at.second, at.second, u, v, valid, "bicubic", at.derivative)
        after = _core.mismatch(pair, _core.mismatch_floor)
        limits = _FAR, _VISIBLE, self.worse, _LEAST, _MOST
        return _core.keep_what_matches(flow, filtered, visible, at.mismatch[None], after, limits, _AROUND)
