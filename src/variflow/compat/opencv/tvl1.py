"""The interface of OpenCV's TV-L1 flow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import Image
from variflow.base.choices import check_number
from variflow.compat._arguments import check_count, check_flag
from variflow.compat._solvers import Rounds, make_tv_l1_energy
from variflow.compat.opencv.dense import DenseOpticalFlow, make_idle_setting
from variflow.driver import estimate
from variflow.filters import Median
from variflow.model import Model

# The weight of the data in OpenCV that gives the model its default weight here.
_LAMBDA = 0.15
# The time step of OpenCV by default.
_TAU = 0.25


class DualTVL1OpticalFlow(DenseOpticalFlow):
    """Flow with the interface of ``cv2.optflow.DualTVL1OpticalFlow``: TV-L1.

    Parameters
    ----------
    tau : float
        The time step of OpenCV's solver, above 0. The solver here chooses its own: another value than OpenCV's default
        changes nothing and warns.
    lambda_ : float
        Weight of the data, above 0; smaller is smoother. Residuals here are distances in pixels, so the weight acts
        alike on strong and weak texture. 0.15 is a weight of 1 in `variflow.models.tv_l1`.
    theta : float
        How loosely the flow is coupled to the data, above 0: residuals are penalised quadratically up to
        ``lambda_ / 0.15 * theta`` pixels.
    nscales : int
        The most levels of the pyramid, at least 1; none is smaller than 16 pixels.
    warps : int
        Warps at each level, at least 1.
    epsilon : float
        At least 0. A warp is done when the root mean square change of the flow in a round of inner iterations is below
        it, in pixels.
    innnerIterations : int
        Iterations of a round, at least 1 (the spelling is that of OpenCV).
    outerIterations : int
        The most rounds at each warp, at least 1.
    scaleStep : float
        Size of each level relative to the finer one, from 0.4 to 0.98.
    gamma : float
        Weight of OpenCV's model of changing light, which does not exist here: any value but 0 raises.
    medianFiltering : int
        Side of the median filter of the flow after each level: 3 or 5, or 1 for none.
    useInitialFlow : bool
        Whether an estimate starts from a flow that is passed to `calc`.

    Raises
    ------
    NotImplementedError
        If `gamma` is set.
    TypeError, ValueError
        If a setting is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.compat.opencv import DualTVL1OpticalFlow_create
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    >>> flow = DualTVL1OpticalFlow_create(warps=3).calc(pair.frame0, pair.frame1, None)
    >>> bool(abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.05)
    True
    """

    def __init__(
        self,
        tau: float = _TAU,
        lambda_: float = _LAMBDA,
        theta: float = 0.3,
        nscales: int = 5,
        warps: int = 5,
        epsilon: float = 0.01,
        innnerIterations: int = 30,
        outerIterations: int = 10,
        scaleStep: float = 0.8,
        gamma: float = 0.0,
        medianFiltering: int = 5,
        useInitialFlow: bool = False,
    ) -> None:
        self._idle = {"Tau": _TAU}
        if tau != _TAU:
            self.setTau(tau)
        self.setLambda(lambda_)
        self.setTheta(theta)
        self.setScalesNumber(nscales)
        self.setWarpingsNumber(warps)
        self.setEpsilon(epsilon)
        self.setInnerIterations(innnerIterations)
        self.setOuterIterations(outerIterations)
        self.setScaleStep(scaleStep)
        self.setGamma(gamma)
        self.setMedianFiltering(medianFiltering)
        self.setUseInitialFlow(useInitialFlow)

    @classmethod
    def create(cls, *settings: Any, **named: Any) -> DualTVL1OpticalFlow:
        """Return an object with these settings."""
        return cls(*settings, **named)

    getTau, setTau = make_idle_setting(
        "Tau",
        lambda value, name: check_number(name, value, above=0),
        "the solver chooses its own steps; set InnerIterations or OuterIterations for more speed or accuracy",
    )

    def getLambda(self) -> float:
        """Return the weight of the data."""
        return self._lambda

    def setLambda(self, val: float) -> None:
        """Set the weight of the data, above 0; smaller is smoother."""
        self._lambda = check_number("Lambda", val, above=0)

    def getTheta(self) -> float:
        """Return how loosely the flow is coupled to the data."""
        return self._theta

    def setTheta(self, val: float) -> None:
        """Set how loosely the flow is coupled to the data, above 0."""
        self._theta = check_number("Theta", val, above=0)

    def getScalesNumber(self) -> int:
        """Return the most levels of the pyramid."""
        return self._scales

    def setScalesNumber(self, val: int) -> None:
        """Set the most levels of the pyramid, at least 1."""
        self._scales = check_count(val, "ScalesNumber")

    def getWarpingsNumber(self) -> int:
        """Return the number of warps at each level."""
        return self._warps

    def setWarpingsNumber(self, val: int) -> None:
        """Set the number of warps at each level, at least 1."""
        self._warps = check_count(val, "WarpingsNumber")

    def getEpsilon(self) -> float:
        """Return the change of the flow, in pixels, below which a warp is done."""
        return self._epsilon

    def setEpsilon(self, val: float) -> None:
        """Set the change of the flow, in pixels, below which a warp is done; at least 0."""
        self._epsilon = check_number("Epsilon", val, least=0)

    def getInnerIterations(self) -> int:
        """Return the number of iterations of a round."""
        return self._inner

    def setInnerIterations(self, val: int) -> None:
        """Set the number of iterations of a round, at least 1."""
        self._inner = check_count(val, "InnerIterations")

    def getOuterIterations(self) -> int:
        """Return the most rounds at each warp."""
        return self._outer

    def setOuterIterations(self, val: int) -> None:
        """Set the most rounds at each warp, at least 1."""
        self._outer = check_count(val, "OuterIterations")

    def getScaleStep(self) -> float:
        """Return the size of each level relative to the finer one."""
        return self._factor

    def setScaleStep(self, val: float) -> None:
        """Set the size of each level relative to the finer one, from 0.4 to 0.98."""
        self._factor = check_number("ScaleStep", val, least=0.4, most=0.98)

    def getGamma(self) -> float:
        """Return 0: there is no model of changing light."""
        return 0.0

    def setGamma(self, val: float) -> None:
        """Raise NotImplementedError for any value but 0: this energy has no model of changing light."""
        if val != 0:
            raise NotImplementedError(
                f"gamma is {val!r}: OpenCV's model of changing light means nothing in variflow; gradient or census "
                "constancy (variflow.energy) forgives such changes"
            )

    def getMedianFiltering(self) -> int:
        """Return the side of the median filter, 1 for none."""
        return self._median

    def setMedianFiltering(self, val: int) -> None:
        """Set the side of the median filter of the flow after each level: 3 or 5, or 1 for none."""
        if val not in (1, 3, 5):
            raise ValueError(f"MedianFiltering is {val!r}, wanted 1, 3 or 5")
        self._median = int(val)

    def getUseInitialFlow(self) -> bool:
        """Return whether an estimate starts from a flow that is passed to `calc`."""
        return self._initial

    def setUseInitialFlow(self, val: bool) -> None:
        """Set whether an estimate starts from a flow that is passed to `calc`."""
        self._initial = check_flag(val, "UseInitialFlow")

    def _starts_from_flow(self) -> bool:
        return self._initial

    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        solver = Rounds(iterations=self._inner, rounds=self._outer, still=self._epsilon)
        smallest = math.floor(min(frame0.shape[:2]) * self._factor ** (self._scales - 1) + 0.5)
        filtering = {1: None, 3: Median(3), 5: Median(5)}[self._median]
        model = Model(
            make_tv_l1_energy(self._lambda / _LAMBDA, self._theta),
            solver=solver,
            warps=self._warps,
            factor=self._factor,
            coarsest=max(smallest, 16),
            filter=filtering,
            channels="gray",
            light="matched",
            name="opencv-tvl1",
        )
        return estimate(frame0, frame1, model, init=start).flow


def DualTVL1OpticalFlow_create(*settings: Any, **named: Any) -> DualTVL1OpticalFlow:
    """Return a `DualTVL1OpticalFlow`, as ``cv2.optflow.DualTVL1OpticalFlow_create`` does, with the same settings.

    Examples
    --------
    >>> from variflow.compat import opencv
    >>> opencv.DualTVL1OpticalFlow_create(lambda_=0.1).getLambda()
    0.1
    """
    return DualTVL1OpticalFlow(*settings, **named)


createOptFlow_DualTVL1 = DualTVL1OpticalFlow_create
