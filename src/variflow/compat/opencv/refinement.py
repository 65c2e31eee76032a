"""The interface of OpenCV's variational refinement, and the energy that DIS shares with it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.base.errors import warn
from variflow.base.types import ArrayLike
from variflow.compat._arguments import check_count
from variflow.compat.opencv.dense import DenseOpticalFlow, check_buffer, check_start, take_frames
from variflow.driver import estimate
from variflow.energy import BrightnessConstancy, Charbonnier, Energy, GradientConstancy, Smoothness
from variflow.model import Model
from variflow.models.published import GREY_LEVEL
from variflow.solve.relaxation import Relaxation

# The settings of OpenCV that give the energy the constants of `variflow.models.brox`, but for the smoothness.
ALPHA, DELTA, GAMMA = 20.0, 5.0, 10.0
# Without smoothness, the flow is not determined where there is no texture. This is taken in place of 0.
IN_PLACE_OF_NONE = 0.1
# Where OpenCV's penalties turn from quadratic to linear by default.
_EPSILON = 0.001


def make_refining_energy(alpha: float, delta: float, gamma: float, turn: float) -> Energy:
    """Return the energy of smoothness, brightness and gradient constancy with weights as OpenCV has them.

    Parameters
    ----------
    alpha, delta, gamma : float
        The weights of the smoothness, of brightness and of gradient constancy. One of the last two is above 0.
    turn : float
        Where the penalties turn from quadratic to linear, 1 for OpenCV's default.
    """
    penalty = Charbonnier(0.3 * turn)
    brightness = 0.6 * delta / DELTA * BrightnessConstancy(penalty, normalisation=GREY_LEVEL)
    gradient = 2.0 * gamma / GAMMA * GradientConstancy(penalty, normalisation=GREY_LEVEL)
    terms = [term for term, weight in ((brightness, delta), (gradient, gamma)) if weight > 0]
    smoothness = 0.6 * alpha / ALPHA * Smoothness(Charbonnier(0.01 * turn))
    return sum(terms[1:], terms[0]) + smoothness


def check_alpha(name: str, value: object) -> float:
    """Return the weight of the smoothness as it was set; warn if more is taken in its place."""
    alpha = check_number(name, value, least=0)
    if alpha == 0:
        warn(f"{name} is 0: without smoothness the flow is not determined here, so {IN_PLACE_OF_NONE} is taken")
    return alpha


@lru_cache(maxsize=16)
def _make_model(
    alpha: float, delta: float, gamma: float, turn: float, warps: int, sweeps: int, omega: float, coarsest: int
) -> Model:
    """Return the model of one level at full size; it is kept, because it takes as long to make as a small estimate."""
    return replace(
        models.brox(),
        energy=make_refining_energy(alpha, delta, gamma, turn),
        solver=Relaxation(sweeps, omega),
        warps=warps,
        coarsest=coarsest,
        name="opencv-refinement",
    )


class VariationalRefinement(DenseOpticalFlow):
    """Refine a given flow, with the interface of ``cv2.VariationalRefinement``.

    The energy is that of `variflow.models.brox`, minimised from the given flow at the size of the frames alone. So
    errors of a pixel or two are corrected, and larger ones remain.

    Raises
    ------
    TypeError, ValueError
        If a setting is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.compat.opencv import VariationalRefinement_create
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(4.5, -0.5))
    >>> flow = np.full((64, 80, 2), (4, 0), np.float32)
    >>> refined = VariationalRefinement_create().calc(pair.frame0, pair.frame1, flow)
    >>> refined is flow, bool(abs(flow[8:-8, 8:-8] - (4.5, -0.5)).mean() < 0.05)
    (True, True)
    """

    def __init__(self) -> None:
        self._alpha, self._delta, self._gamma, self._epsilon = ALPHA, DELTA, GAMMA, _EPSILON
        self._warps, self._sweeps, self._omega = 5, 5, 1.6

    @classmethod
    def create(cls) -> VariationalRefinement:
        """Return an object with the default settings."""
        return cls()

    def calc(self, I0: ArrayLike, I1: ArrayLike, flow: ArrayLike) -> NDArray[np.float32]:
        """Refine a flow in place.

        Parameters
        ----------
        I0, I1 : (H, W) or (H, W, C) array
            The frames, of any real type; OpenCV takes gray frames, of uint8 or float32.
        flow : (H, W, 2) float32 array
            The flow to refine, NaN where unknown. It is overwritten.

        Returns
        -------
        (H, W, 2) float32
            `flow` itself.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, naming it.
        """
        if flow is None:
            raise TypeError("flow is None, wanted the flow to refine, a float32 array (H, W, 2)")
        return super().calc(I0, I1, flow)

    def calcUV(
        self, I0: ArrayLike, I1: ArrayLike, flow_u: ArrayLike, flow_v: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Refine a flow in place, whose components are two arrays.

        Parameters
        ----------
        I0, I1 : (H, W) or (H, W, C) array
            The frames, of any real type; OpenCV takes gray frames, of uint8 or float32.
        flow_u, flow_v : (H, W) float32 array
            The displacement along x and along y, NaN where unknown. Both are overwritten.

        Returns
        -------
        pair of (H, W) float32
            `flow_u` and `flow_v` themselves.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, naming it.
        """
        frames = take_frames(I0, I1)
        shape = frames[0].shape[:2]
        check_buffer(flow_u, shape, "flow_u")
        check_buffer(flow_v, shape, "flow_v")
        start = check_start(np.ma.stack((flow_u, flow_v), axis=2).filled(np.nan), "flow of flow_u and flow_v")
        refined = self._estimate(*frames, start)
        flow_u[...], flow_v[...] = refined[..., 0], refined[..., 1]
        return flow_u, flow_v

    def getAlpha(self) -> float:
        """Return the weight of the smoothness."""
        return self._alpha

    def setAlpha(self, val: float) -> None:
        """Set the weight of the smoothness; 20 is the default. For 0 take 0.1, and warn."""
        self._alpha = check_alpha("Alpha", val)

    def getDelta(self) -> float:
        """Return the weight of the brightness constancy."""
        return self._delta

    def setDelta(self, val: float) -> None:
        """Set the weight of the brightness constancy, at least 0; 5 is that of `variflow.models.brox`."""
        self._delta = check_number("Delta", val, least=0)

    def getGamma(self) -> float:
        """Return the weight of the gradient constancy."""
        return self._gamma

    def setGamma(self, val: float) -> None:
        """Set the weight of the gradient constancy, at least 0; 10 is that of `variflow.models.brox`."""
        self._gamma = check_number("Gamma", val, least=0)

    def getEpsilon(self) -> float:
        """Return where the penalties turn from quadratic to linear."""
        return self._epsilon

    def setEpsilon(self, val: float) -> None:
        """Set where the penalties turn from quadratic to linear, above 0; 0.001 is that of `variflow.models.brox`."""
        self._epsilon = check_number("Epsilon", val, above=0)

    def getOmega(self) -> float:
        """Return the over-relaxation."""
        return self._omega

    def setOmega(self, val: float) -> None:
        """Set the over-relaxation, above 0 and below 2; larger carries the flow farther in each sweep."""
        self._omega = check_number("Omega", val, above=0, below=2)

    def getFixedPointIterations(self) -> int:
        """Return the number of warps."""
        return self._warps

    def setFixedPointIterations(self, val: int) -> None:
        """Set the number of warps; at each, all penalties are weighted anew. With 0 the flow stays as it is."""
        self._warps = check_count(val, "FixedPointIterations", least=0)

    def getSorIterations(self) -> int:
        """Return the number of sweeps of the relaxation at each warp."""
        return self._sweeps

    def setSorIterations(self, val: int) -> None:
        """Set the number of sweeps of the relaxation at each warp, at least 1."""
        self._sweeps = check_count(val, "SorIterations")

    def _starts_from_flow(self) -> bool:
        return True

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if self._delta == 0 and self._gamma == 0:
            raise ValueError("Delta and Gamma are 0, wanted one above 0")
        if self._warps == 0 and start is not None:
            return np.array(np.ma.filled(start, np.nan), np.float32)
        weights = self._alpha or IN_PLACE_OF_NONE, self._delta, self._gamma, self._epsilon / _EPSILON
        model = _make_model(*weights, self._warps, self._sweeps, self._omega, coarsest=max(frame0.shape[:2]))
        return estimate(frame0, frame1, model, init=start).flow


def VariationalRefinement_create() -> VariationalRefinement:
    """Return a `VariationalRefinement`, as ``cv2.VariationalRefinement_create`` does.

    Examples
    --------
    >>> from variflow.compat import opencv
    >>> opencv.VariationalRefinement_create().getFixedPointIterations()
    5
    """
    return VariationalRefinement()
