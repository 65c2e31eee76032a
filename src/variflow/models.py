"""Models: an energy, the solver that minimises it, and the schedule around both.

The constants of an energy live in its terms; ``models.horn_schunck(smoothness=...)`` returns a `Model`, and
``dataclasses.replace(model, warps=10)`` changes its schedule.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from variflow.energy import BrightnessConstancy, Energy, Smoothness
from variflow.flowops import INTERPOLATIONS, Interpolation
from variflow.linearisation import DERIVATIVES, Derivative


@dataclass(frozen=True)
class Model:
    """How a flow is computed.

    Attributes
    ----------
    energy : callable
        ``energy(d, at) -> scalar``, see `variflow.energy`.
    solver : optimistix minimiser or optax optimiser, optional
        What minimises the energy at each warp; None is L-BFGS. An optax optimiser (``optax.sgd(0.1)``) runs for
        exactly `steps` steps; a minimiser of optimistix also stops at its own tolerance.
    steps : int
        The most steps of the solver per warp; typically 20 to 500.
    warps : int
        How often the frames are linearised anew per level; typically 1 to 10. More follow larger motions and remove
        the error of linearising.
    limit : float
        The most that a component of the flow may change in one warp, in pixels; infinite is no limit, and typical is
        0.5 to 2. The linearised frames are not to be trusted further; a small limit keeps warps from swinging to and
        fro where nothing matches, as in occlusions.
    derivative : {"average", "first", "second", "warped"}
        Where spatial derivatives are taken: of the first frame, the second as it is, the second warped, or the
        average of the first and the warped, which is the most accurate.
    interpolation : {"bicubic", "bilinear"}
        How the second frame is warped. Bicubic has less sub-pixel bias.
    factor : float
        Size of each level of the pyramid relative to the finer one, between 0.4 and 0.98. Closer to 1 is slower and
        more accurate.
    coarsest : int
        The shorter side of every level is at least this many pixels; typically 8 to 32. The depth of the
        pyramid follows from it and from the size of the frames.
    presmoothing : float
        Standard deviation in pixels of a Gaussian that the frames are smoothed with, at least 0; typically up to 1.
        It removes noise and aliases that derivatives would amplify, and fine texture with them.
    median : {0, 3, 5}
        Size of the window of a median filter of the flow after the last warp of a level; 0 is none.
    channels : {"all", "gray"}
        What the data terms see of frames with several channels.
    name : str
        What the model is called.

    Raises
    ------
    TypeError, ValueError
        If a field cannot be right, naming it.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
    >>> from variflow.models import Model
    >>> model = Model(BrightnessConstancy(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.01)), warps=3)
    """

    energy: Energy
    solver: Any = None
    steps: int = 100
    warps: int = 5
    limit: float = math.inf
    derivative: Derivative = "average"
    interpolation: Interpolation = "bicubic"
    factor: float = 0.5
    coarsest: int = 16
    presmoothing: float = 0.0
    median: Literal[0, 3, 5] = 0
    channels: Literal["all", "gray"] = "all"
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.energy):
            raise TypeError(f"energy is a {type(self.energy).__name__}, wanted a function energy(d, at) -> scalar")
        for field in ("steps", "warps", "coarsest"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{field} is {value!r}, wanted a whole number of at least 1")
        choices: dict[str, tuple[Any, ...]] = {
            "derivative": DERIVATIVES,
            "interpolation": INTERPOLATIONS,
            "median": (0, 3, 5),
            "channels": ("all", "gray"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, wanted one of {', '.join(map(repr, allowed))}")
        if not self.limit > 0:
            raise ValueError(f"limit is {self.limit!r}, wanted a number of pixels above 0")
        if not 0.4 <= self.factor <= 0.98:
            raise ValueError(f"factor is {self.factor!r}, wanted a number from 0.4 to 0.98")
        if not 0 <= self.presmoothing < 100:
            raise ValueError(f"presmoothing is {self.presmoothing!r}, wanted a number of pixels of at least 0")


def horn_schunck(*, smoothness: float = 0.001) -> Model:
    """Return the model of Horn and Schunck, 1981: brightness constancy and smoothness, both quadratic.

    ``E = sum (Ix du + Iy dv + It)^2 + smoothness * sum (|grad u|^2 + |grad v|^2)``

    It blurs motion edges, and suits smooth motion of things that keep their brightness.

    Parameters
    ----------
    smoothness : float
        Weight of the smoothness, where the frames' range is [0, 1]; typically 0.0002 to 0.01. Larger is smoother.

    Notes
    -----
    The published method has neither pyramid nor warps nor median. Those follow Sun, Roth and Black (CVPR 2010), who
    showed how much they improve it. ``dataclasses.replace(models.horn_schunck(), warps=1, coarsest=10**6, median=0)``
    is the published form.

    References
    ----------
    B. K. P. Horn and B. G. Schunck, Determining optical flow, Artificial Intelligence 17, 1981.

    Examples
    --------
    >>> from variflow import models
    >>> models.horn_schunck(smoothness=0.001).name
    'horn-schunck'
    """
    from variflow.solve.conjugate_gradient import ConjugateGradient

    return Model(
        BrightnessConstancy() + smoothness * Smoothness(),
        solver=ConjugateGradient(),  # both terms are quadratic
        steps=300,
        warps=3,
        limit=0.5,
        factor=0.6,
        presmoothing=0.6,
        median=5,
        name="horn-schunck",
    )


def balanced() -> Model:
    """Return the default, the best compromise of accuracy and time there is: for now that of Horn and Schunck.

    Examples
    --------
    >>> from variflow import models
    >>> models.balanced().name
    'horn-schunck'
    """
    return horn_schunck()


# Every name that `estimate` knows: models and presets.
_MODELS: dict[str, Callable[[], Model]] = {
    "horn-schunck": horn_schunck,
    "balanced": balanced,
}


def names() -> list[str]:
    """Return the names of all models and presets.

    Examples
    --------
    >>> from variflow import models
    >>> "balanced" in models.names()
    True
    """
    return list(_MODELS)


def builder(name: str) -> Callable[[], Model]:
    """Return the function that builds the model of a name.

    Raises
    ------
    ValueError
        If no model has the name.

    Examples
    --------
    >>> from variflow import models
    >>> models.builder("horn-schunk")
    Traceback (most recent call last):
        ...
    ValueError: model is 'horn-schunk', wanted one of 'horn-schunck', 'balanced'; did you mean 'horn-schunck'?
    """
    if name in _MODELS:
        return _MODELS[name]
    close = difflib.get_close_matches(name, _MODELS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"model is {name!r}, wanted one of {', '.join(map(repr, _MODELS))}{hint}")


def get(model: str | Model | Energy) -> Model:
    """Return the model of a name; a model as it is; or an energy with L-BFGS, 100 steps a warp, pyramid factor 0.5.

    Raises
    ------
    ValueError
        If no model has the name.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> from variflow import models
    >>> models.get("balanced").warps
    5
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        return builder(model)()
    if callable(model):
        return Model(model, name=getattr(model, "__name__", type(model).__name__))
    raise TypeError(f"model is a {type(model).__name__}, wanted a name, a Model or a function energy(d, at) -> scalar")
