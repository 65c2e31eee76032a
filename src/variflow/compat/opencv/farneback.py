"""The interface of OpenCV's Farneback flow."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.base.types import ArrayLike
from variflow.compat._arguments import check_count, check_flag, take_factor
from variflow.compat._solvers import Windows
from variflow.compat.opencv.dense import (
    DenseOpticalFlow,
    check_start,
    give_flow,
    make_idle_setting,
    take_buffer,
    take_frames,
)
from variflow.driver import estimate
from variflow.model import Model

OPTFLOW_USE_INITIAL_FLOW = 4
OPTFLOW_FARNEBACK_GAUSSIAN = 256

# No level of OpenCV's pyramid is smaller than this.
_SMALLEST = 32
_POLYNOMIALS = "no polynomials are fitted; set WinSize for a smoother flow"
_IDLE = {"FastPyramids": False, "PolyN": 5, "PolySigma": 1.1}


def calcOpticalFlowFarneback(
    prev: ArrayLike,
    next: ArrayLike,  # noqa: A002 (as OpenCV names it)
    flow: ArrayLike,
    pyr_scale: float,
    levels: int,
    winsize: int,
    iterations: int,
    poly_n: int,
    poly_sigma: float,
    flags: int,
) -> NDArray[np.float32]:
    """Estimate the flow in windows, called as ``cv2.calcOpticalFlowFarneback``.

    OpenCV fits polynomials to both frames and compares them in windows. Here windows fit brightness and its gradient,
    after Lucas and Kanade.

    Parameters
    ----------
    prev, next : (H, W) or (H, W, C) array
        The frames, of any real type; OpenCV takes gray frames, of uint8, uint16 or floats.
    flow : (H, W, 2) float32 array or None
        The array to write the flow into. With `OPTFLOW_USE_INITIAL_FLOW` it is also the flow to start from, NaN where
        unknown.
    pyr_scale : float
        Size of each level of the pyramid relative to the finer one, from 0.4 to 0.98; for others, the nearest is taken
        with a warning.
    levels : int
        The most levels besides that of the frames; -1 is 0, as in OpenCV's code. None is smaller than 32 pixels.
    winsize : int
        Side of the window in pixels, at least 1; an even one is made one larger, as there. Larger is steadier and blurs
        motion edges.
    iterations : int
        Warps at the size of the frames; coarser levels have twice as many. With 0 the flow is the one to start from, or
        zero.
    poly_n : int
        Size of the neighbourhood of OpenCV's polynomials, at least 1. It changes nothing here.
    poly_sigma : float
        Width of the same, above 0. It changes nothing here.
    flags : int
        A sum of `OPTFLOW_USE_INITIAL_FLOW` and `OPTFLOW_FARNEBACK_GAUSSIAN`, or 0. The latter is a Gaussian window of
        standard deviation ``winsize / 4`` in place of a uniform one.

    Returns
    -------
    (H, W, 2) float32
        `flow` itself, or a new array if that is None, or if it does not fit and is not read.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, naming it.

    References
    ----------
    G. Farnebäck, Two-frame motion estimation based on polynomial expansion, SCIA 2003.
    G. Le Besnerais and F. Champagnat, Dense optical flow by iterative local window registration, ICIP 2005.

    Examples
    --------
    >>> import variflow.compat.opencv as cv2
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    >>> flow = cv2.calcOpticalFlowFarneback(pair.frame0, pair.frame1, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    >>> bool(abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.05)
    True
    """
    frames = take_frames(prev, next, ("prev", "next"))
    check_count(poly_n, "poly_n")
    check_number("poly_sigma", poly_sigma, above=0)
    asked = _check_flags(flags, "flags")
    starts = bool(asked & OPTFLOW_USE_INITIAL_FLOW)
    buffer = take_buffer(flow, (*frames[0].shape[:2], 2), needed=starts)
    estimated = _estimate_in_windows(
        frames,
        check_start(buffer) if starts else None,
        asked,
        factor=take_factor(pyr_scale, "pyr_scale"),
        levels=check_count(levels, "levels", least=-1),
        window=check_count(winsize, "winsize"),
        warps=check_count(iterations, "iterations", least=0),
    )
    return give_flow(estimated, buffer)


class FarnebackOpticalFlow(DenseOpticalFlow):
    """Flow with the interface of ``cv2.FarnebackOpticalFlow``: `calcOpticalFlowFarneback` as an object.

    Parameters
    ----------
    numLevels, pyrScale, winSize, numIters, flags
        As `levels`, `pyr_scale`, `winsize`, `iterations` and `flags` of `calcOpticalFlowFarneback`.
    fastPyramids : bool
        How OpenCV makes its pyramid. It changes nothing here: another value than OpenCV's default warns.
    polyN, polySigma
        As `poly_n` and `poly_sigma` there. They change nothing here: another value than OpenCV's default, 5 and 1.1,
        warns.

    Raises
    ------
    TypeError, ValueError
        If a setting is not valid.

    Examples
    --------
    >>> from variflow.compat.opencv import FarnebackOpticalFlow_create
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    >>> flow = FarnebackOpticalFlow_create(numIters=3).calc(pair.frame0, pair.frame1, None)
    >>> bool(abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.05)
    True
    """

    def __init__(
        self,
        numLevels: int = 5,
        pyrScale: float = 0.5,
        fastPyramids: bool = False,
        winSize: int = 13,
        numIters: int = 10,
        polyN: int = 5,
        polySigma: float = 1.1,
        flags: int = 0,
    ) -> None:
        self._idle = dict(_IDLE)
        for name, value in (("FastPyramids", fastPyramids), ("PolyN", polyN), ("PolySigma", polySigma)):
            if value != _IDLE[name]:
                getattr(self, f"set{name}")(value)
        self.setNumLevels(numLevels)
        self.setPyrScale(pyrScale)
        self.setWinSize(winSize)
        self.setNumIters(numIters)
        self.setFlags(flags)

    @classmethod
    def create(cls, *settings: Any, **named: Any) -> FarnebackOpticalFlow:
        """Return an object with these settings."""
        return cls(*settings, **named)

    getFastPyramids, setFastPyramids = make_idle_setting(
        "FastPyramids", check_flag, "the pyramid is one; set NumLevels or PyrScale for its size"
    )
    getPolyN, setPolyN = make_idle_setting("PolyN", check_count, _POLYNOMIALS)
    getPolySigma, setPolySigma = make_idle_setting(
        "PolySigma", lambda value, name: check_number(name, value, above=0), _POLYNOMIALS
    )

    def getNumLevels(self) -> int:
        """Return the most levels of the pyramid besides that of the frames."""
        return self._levels

    def setNumLevels(self, val: int) -> None:
        """Set the most levels of the pyramid besides that of the frames, at least 0; more follow larger motion."""
        self._levels = check_count(val, "NumLevels", least=-1)

    def getPyrScale(self) -> float:
        """Return the size of each level relative to the finer one."""
        return self._factor

    def setPyrScale(self, val: float) -> None:
        """Set the size of each level relative to the finer one, from 0.4 to 0.98."""
        self._factor = take_factor(val, "PyrScale")

    def getWinSize(self) -> int:
        """Return the side of the window."""
        return self._window

    def setWinSize(self, val: int) -> None:
        """Set the side of the window in pixels, at least 1; larger is steadier and blurs motion edges."""
        self._window = check_count(val, "WinSize")

    def getNumIters(self) -> int:
        """Return the number of warps at the size of the frames."""
        return self._warps

    def setNumIters(self, val: int) -> None:
        """Set the number of warps at the size of the frames, at least 1; coarser levels have twice as many."""
        self._warps = check_count(val, "NumIters", least=0)

    def getFlags(self) -> int:
        """Return the flags."""
        return self._flags

    def setFlags(self, val: int) -> None:
        """Set the flags: a sum of `OPTFLOW_USE_INITIAL_FLOW` and `OPTFLOW_FARNEBACK_GAUSSIAN`, or 0."""
        self._flags = _check_flags(val, "Flags")

    def _starts_from_flow(self) -> bool:
        return bool(self._flags & OPTFLOW_USE_INITIAL_FLOW)

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        return _estimate_in_windows(
            (frame0, frame1),
            start,
            self._flags,
            factor=self._factor,
            levels=self._levels,
            window=self._window,
            warps=self._warps,
        )


def FarnebackOpticalFlow_create(*settings: Any, **named: Any) -> FarnebackOpticalFlow:
    """Return a `FarnebackOpticalFlow`, as ``cv2.FarnebackOpticalFlow_create`` does, with the same settings.

    Examples
    --------
    >>> from variflow.compat import opencv
    >>> opencv.FarnebackOpticalFlow_create(winSize=21).getWinSize()
    21
    """
    return FarnebackOpticalFlow(*settings, **named)


def _estimate_in_windows(
    frames: tuple[Image, Image],
    start: NDArray[np.float32] | None,
    flags: int,
    *,
    factor: float,
    levels: int,
    window: int,
    warps: int,
) -> NDArray[np.float32]:
    if start is None and flags & OPTFLOW_USE_INITIAL_FLOW:
        raise ValueError("flow is None, wanted a flow to start from: the flags hold OPTFLOW_USE_INITIAL_FLOW")
    if warps == 0:
        return np.zeros((*frames[0].shape[:2], 2), np.float32) if start is None else start.copy()
    smallest = math.floor(min(frames[0].shape[:2]) * factor ** max(levels, 0) + 0.5)
    gaussian = bool(flags & OPTFLOW_FARNEBACK_GAUSSIAN)
    model = _make_model(factor, max(smallest, _SMALLEST), window // 2, gaussian, warps)
    return estimate(*frames, model, init=start).flow


@lru_cache(maxsize=16)
def _make_model(factor: float, coarsest: int, radius: int, gaussian: bool, warps: int) -> Model:
    return replace(
        models.lucas_kanade(brightness=1.0),
        solver=Windows(radius, gaussian),
        # With fewer, coarser levels would not follow motion as large as OpenCV does.
        warps=(warps, 2 * warps),
        factor=factor,
        coarsest=coarsest,
        interpolation="spline",
        light="matched",
        name="opencv-farneback",
    )


def _check_flags(value: SupportsIndex, name: str) -> int:
    flags = check_count(value, name, least=0)
    if flags & ~(OPTFLOW_USE_INITIAL_FLOW | OPTFLOW_FARNEBACK_GAUSSIAN):
        raise ValueError(
            f"{name} is {flags}, wanted a sum of OPTFLOW_USE_INITIAL_FLOW, {OPTFLOW_USE_INITIAL_FLOW}, and "
            f"OPTFLOW_FARNEBACK_GAUSSIAN, {OPTFLOW_FARNEBACK_GAUSSIAN}"
        )
    return flags
