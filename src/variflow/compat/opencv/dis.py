"""The interface of OpenCV's DIS flow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.compat._arguments import check_count
from variflow.compat.opencv.dense import DenseOpticalFlow, refuse_setting
from variflow.driver import estimate
from variflow.energy import BrightnessConstancy, Charbonnier, GradientConstancy, Smoothness
from variflow.model import Model
from variflow.models.published import GREY_LEVEL
from variflow.state import State

DISOpticalFlow_PRESET_ULTRAFAST = 0
DISOpticalFlow_PRESET_FAST = 1
DISOpticalFlow_PRESET_MEDIUM = 2

# The settings of OpenCV that give the model its default constants here.
_ALPHA, _DELTA, _GAMMA, _EPSILON = 20.0, 5.0, 10.0, 0.01


class DISOpticalFlow(DenseOpticalFlow):
    """Flow with the interface of ``cv2.DISOpticalFlow``: the model `brox` from coarse scales down to the finest.

    OpenCV searches patches and refines the result with an energy. Here the energy does everything. Its weights are the
    settings ``VariationalRefinement...``, and the scales are ``FinestScale`` and ``CoarsestScale``. The settings of the
    patches mean nothing. An estimate starts from a flow that is passed to `calc`.

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
        presets = {0: (2, 2), 1: (2, 5), 2: (1, 5)}
        if preset not in presets:
            raise ValueError(f"preset is {preset!r}, wanted 0 (ULTRAFAST), 1 (FAST) or 2 (MEDIUM)")
        self._finest, self._iterations = presets[preset]
        self._coarsest = -1
        self._alpha, self._delta, self._gamma, self._epsilon = _ALPHA, _DELTA, _GAMMA, _EPSILON

    @classmethod
    def create(cls, preset: int = DISOpticalFlow_PRESET_FAST) -> DISOpticalFlow:
        """Return an object with the settings of a preset."""
        return cls(preset)

    def getFinestScale(self) -> int:
        """Return the finest scale; 0 is that of the frames, and each further scale has half the size."""
        return self._finest

    def setFinestScale(self, val: int) -> None:
        """Set the finest scale: 0 is that of the frames, each further one is half as large. More is faster."""
        self._finest = check_count(val, "FinestScale", least=0)

    def getCoarsestScale(self) -> int:
        """Return the coarsest scale; -1 means that it follows from the size of the frames."""
        return self._coarsest

    def setCoarsestScale(self, val: int) -> None:
        """Set the coarsest scale; larger follows larger motion, and -1 derives it from the size of the frames."""
        self._coarsest = check_count(val, "CoarsestScale", least=-1)

    def getVariationalRefinementIterations(self) -> int:
        """Return the number of warps at each scale."""
        return self._iterations

    def setVariationalRefinementIterations(self, val: int) -> None:
        """Set the number of warps at each scale, at least 1; more is slower. With 0 there would be no flow here."""
        self._iterations = check_count(val, "VariationalRefinementIterations")

    def getVariationalRefinementAlpha(self) -> float:
        """Return the weight of the smoothness."""
        return self._alpha

    def setVariationalRefinementAlpha(self, val: float) -> None:
        """Set the weight of the smoothness, above 0; 20 is that of `variflow.models.brox`."""
        self._alpha = check_number("VariationalRefinementAlpha", val, above=0)

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

    getPatchSize = refuse_setting("getPatchSize", "no patches are searched")
    setPatchSize = refuse_setting("setPatchSize", "no patches are searched")
    getPatchStride = refuse_setting("getPatchStride", "no patches are searched")
    setPatchStride = refuse_setting("setPatchStride", "no patches are searched")
    getGradientDescentIterations = refuse_setting("getGradientDescentIterations", "no patches are searched")
    setGradientDescentIterations = refuse_setting("setGradientDescentIterations", "no patches are searched")
    getUseMeanNormalization = refuse_setting("getUseMeanNormalization", "no patches are compared")
    setUseMeanNormalization = refuse_setting("setUseMeanNormalization", "no patches are compared")
    getUseSpatialPropagation = refuse_setting("getUseSpatialPropagation", "no patches are searched")
    setUseSpatialPropagation = refuse_setting("setUseSpatialPropagation", "no patches are searched")

    def _starts_from_flow(self) -> bool:
        return True

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        def finest_is_done(state: State) -> bool:
            return state.level <= self._finest and state.warp == self._iterations - 1

        model = self._model(frame0.shape)
        return estimate(frame0, frame1, model, init=start, callback=finest_is_done).flow

    def _model(self, shape: tuple[int, ...]) -> Model:
        if self._delta == 0 and self._gamma == 0:
            raise ValueError("VariationalRefinementDelta and VariationalRefinementGamma are 0, wanted one above 0")
        scale = self._epsilon / _EPSILON
        data = Charbonnier(0.3 * scale)
        brightness = 0.6 * self._delta / _DELTA * BrightnessConstancy(data, normalisation=GREY_LEVEL)
        gradient = 2.0 * self._gamma / _GAMMA * GradientConstancy(data, normalisation=GREY_LEVEL)
        smoothness = 0.6 * self._alpha / _ALPHA * Smoothness(Charbonnier(0.01 * scale))
        terms = [term for term, weight in ((brightness, self._delta), (gradient, self._gamma)) if weight > 0]
        model = replace(
            models.brox(),
            energy=sum(terms[1:], terms[0]) + smoothness,
            warps=self._iterations,
            factor=0.5,
        )
        if self._coarsest < 0:
            return model
        if self._coarsest < self._finest:
            raise ValueError(f"CoarsestScale is {self._coarsest}, wanted FinestScale, {self._finest}, or more, or -1")
        return replace(model, coarsest=max(1, math.floor(min(shape[:2]) / 2**self._coarsest + 0.5)))


def DISOpticalFlow_create(preset: int = DISOpticalFlow_PRESET_FAST) -> DISOpticalFlow:
    """Return a `DISOpticalFlow`, as ``cv2.DISOpticalFlow_create`` does.

    Examples
    --------
    >>> from variflow.compat import opencv
    >>> opencv.DISOpticalFlow_create(opencv.DISOpticalFlow_PRESET_MEDIUM).getFinestScale()
    1
    """
    return DISOpticalFlow(preset)
