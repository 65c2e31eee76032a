"""The interface of OpenCV's DIS flow."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.base.errors import warn
from variflow.compat._arguments import check_count, check_flag
from variflow.compat.opencv.dense import DenseOpticalFlow, make_idle_setting
from variflow.compat.opencv.refinement import ALPHA, DELTA, GAMMA, IN_PLACE_OF_NONE, check_alpha, make_refining_energy
from variflow.driver import estimate
from variflow.model import Model

DISOpticalFlow_PRESET_ULTRAFAST = 0
DISOpticalFlow_PRESET_FAST = 1
DISOpticalFlow_PRESET_MEDIUM = 2
DISOPTICAL_FLOW_PRESET_ULTRAFAST = DISOpticalFlow_PRESET_ULTRAFAST
DISOPTICAL_FLOW_PRESET_FAST = DISOpticalFlow_PRESET_FAST
DISOPTICAL_FLOW_PRESET_MEDIUM = DISOpticalFlow_PRESET_MEDIUM

# Of each preset, the finest scale and the iterations here, and OpenCV's patch stride and descent iterations.
_PRESETS = {0: (2, 2, 4, 12), 1: (2, 5, 4, 16), 2: (1, 5, 3, 25)}
# Where OpenCV's penalties turn from quadratic to linear by default.
_EPSILON = 0.01
# Warps at each scale but the finest, which corrects what they leave; and the least shorter side of the coarsest scale.
# With that of `variflow.models.brox`, motion in small frames would be lost that OpenCV's search for patches follows.
_COARSE_WARPS, _COARSEST = 2, 8
_PATCHES = "no patches are searched; set FinestScale or VariationalRefinementIterations for more speed or accuracy"
_LIGHT = "no patches are compared; set VariationalRefinementDelta lower to forgive changes of light"


class DISOpticalFlow(DenseOpticalFlow):
    """Flow with the interface of ``cv2.DISOpticalFlow``: the model `brox` from coarse scales down to the finest.

    OpenCV searches patches and refines the result with an energy. Here the energy does everything. Its weights are the
    settings ``VariationalRefinement...``, and the scales are ``FinestScale`` and ``CoarsestScale``. The settings of the
    patches change nothing and warn. An estimate starts from a flow that is passed to `calc`.

    Parameters
    ----------
    preset : int
        ``DISOpticalFlow_PRESET_ULTRAFAST``, ``_FAST`` or ``_MEDIUM``: the finest scale is 2, 2 or 1, and the number of
        iterations 2, 5 or 5.

    Raises
    ------
    ValueError
        If the preset is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.compat.opencv import DISOpticalFlow_create
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    >>> dis = DISOpticalFlow_create(2)
    >>> dis.setFinestScale(0)
    >>> flow = dis.calc(pair.frame0, pair.frame1, None)
    >>> bool(abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.05)
    True
    """

    def __init__(self, preset: int = DISOpticalFlow_PRESET_FAST) -> None:
        if preset not in _PRESETS:
            raise ValueError(f"preset is {preset!r}, wanted 0 (ULTRAFAST), 1 (FAST) or 2 (MEDIUM)")
        self._finest, self._iterations, stride, descents = _PRESETS[preset]
        self._coarsest = -1
        self._alpha, self._delta, self._gamma, self._epsilon = ALPHA, DELTA, GAMMA, _EPSILON
        self._idle = {
            "PatchSize": 8,
            "PatchStride": stride,
            "GradientDescentIterations": descents,
            "UseMeanNormalization": True,
            "UseSpatialPropagation": True,
        }

    @classmethod
    def create(cls, preset: int = DISOpticalFlow_PRESET_FAST) -> DISOpticalFlow:
        """Return an object with the settings of a preset."""
        return cls(preset)

    def getFinestScale(self) -> int:
        """Return the finest scale; 0 is that of the frames, and each further scale has half the size."""
        return self._finest

    def setFinestScale(self, val: int) -> None:
        """Set the finest scale: 0 is that of the frames, each further one is half as large. More is faster.

        A scale whose shorter side is below 64 pixels is never the last, if there is a larger one: 640 x 480 end at 2.
        """
        self._finest = check_count(val, "FinestScale", least=0)

    def getCoarsestScale(self) -> int:
        """Return the coarsest scale; -1 means that it follows from the size of the frames."""
        return self._coarsest

    def setCoarsestScale(self, val: int) -> None:
        """Set the coarsest scale; larger follows larger motion, and -1 derives it from the size of the frames."""
        self._coarsest = check_count(val, "CoarsestScale", least=-1)

    def getVariationalRefinementIterations(self) -> int:
        """Return the number of warps at the finest scale."""
        return self._iterations

    def setVariationalRefinementIterations(self, val: int) -> None:
        """Set the number of warps at the finest scale; more is slower. Each coarser scale has two.

        With 0 OpenCV refines nothing. Here there is one warp all the same, and a warning says so.
        """
        self._iterations = check_count(val, "VariationalRefinementIterations", least=0)
        if self._iterations == 0:
            warn("VariationalRefinementIterations is 0: the energy does everything here, so 1 is taken")

    def getVariationalRefinementAlpha(self) -> float:
        """Return the weight of the smoothness."""
        return self._alpha

    def setVariationalRefinementAlpha(self, val: float) -> None:
        """Set the weight of the smoothness; 20 is that of `variflow.models.brox`. For 0 take 0.1, and warn."""
        self._alpha = check_alpha("VariationalRefinementAlpha", val)

    def getVariationalRefinementDelta(self) -> float:
        """Return the weight of the brightness constancy."""
        return self._delta

    def setVariationalRefinementDelta(self, val: float) -> None:
        """Set the weight of the brightness constancy, at least 0; 5 is that of `variflow.models.brox`."""
        self._delta = check_number("VariationalRefinementDelta", val, least=0)

    def getVariationalRefinementGamma(self) -> float:
        """Return the weight of the gradient constancy."""
        return self._gamma

    def setVariationalRefinementGamma(self, val: float) -> None:
        """Set the weight of the gradient constancy, at least 0; 10 is that of `variflow.models.brox`."""
        self._gamma = check_number("VariationalRefinementGamma", val, least=0)

    def getVariationalRefinementEpsilon(self) -> float:
        """Return where the penalties turn from quadratic to linear."""
        return self._epsilon

    def setVariationalRefinementEpsilon(self, val: float) -> None:
        """Set where the penalties turn from quadratic to linear, above 0; 0.01 is that of `variflow.models.brox`."""
        self._epsilon = check_number("VariationalRefinementEpsilon", val, above=0)

    getPatchSize, setPatchSize = make_idle_setting("PatchSize", check_count, _PATCHES)
    getPatchStride, setPatchStride = make_idle_setting("PatchStride", check_count, _PATCHES)
    getGradientDescentIterations, setGradientDescentIterations = make_idle_setting(
        "GradientDescentIterations", check_count, _PATCHES
    )
    getUseMeanNormalization, setUseMeanNormalization = make_idle_setting("UseMeanNormalization", check_flag, _LIGHT)
    getUseSpatialPropagation, setUseSpatialPropagation = make_idle_setting(
        "UseSpatialPropagation", check_flag, _PATCHES
    )

    def _starts_from_flow(self) -> bool:
        return True

    def _needs_flow(self) -> bool:
        return False

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        return estimate(frame0, frame1, self._choose_model(frame0.shape), init=start).flow

    def _choose_model(self, shape: tuple[int, ...]) -> Model:
        if self._delta == 0 and self._gamma == 0:
            raise ValueError("VariationalRefinementDelta and VariationalRefinementGamma are 0, wanted one above 0")
        coarsest = _COARSEST
        if self._coarsest >= 0:
            coarsest = max(1, math.floor(min(shape[:2]) / 2**self._coarsest + 0.5))
        weights = self._alpha or IN_PLACE_OF_NONE, self._delta, self._gamma, self._epsilon / _EPSILON
        finest = self._finest if self._coarsest < 0 else min(self._finest, self._coarsest)  # as in OpenCV
        return _make_model(*weights, max(self._iterations, 1), finest, coarsest)


@lru_cache(maxsize=16)
def _make_model(alpha: float, delta: float, gamma: float, turn: float, warps: int, finest: int, coarsest: int) -> Model:
    """Return the model of some settings; it is kept, because it takes as long to make as the fastest estimate."""
    return replace(
        models.brox(),
        energy=make_refining_energy(alpha, delta, gamma, turn),
        warps=(warps, _COARSE_WARPS),
        factor=0.5,
        coarsest=coarsest,
        finest=finest,
        # A frame that is reduced has been smoothed enough.
        presmoothing=0.0 if finest else 0.7,
        name="opencv-dis",
    )


def DISOpticalFlow_create(preset: int = DISOpticalFlow_PRESET_FAST) -> DISOpticalFlow:
    """Return a `DISOpticalFlow`, as ``cv2.DISOpticalFlow_create`` does.

    Examples
    --------
    >>> from variflow.compat import opencv
    >>> opencv.DISOpticalFlow_create(opencv.DISOpticalFlow_PRESET_MEDIUM).getFinestScale()
    1
    """
    return DISOpticalFlow(preset)
