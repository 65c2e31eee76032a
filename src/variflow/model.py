"""A model: an energy, the solver that minimises it, and the schedule around both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from variflow.base.caching import cached_property
from variflow.base.choices import check_choice, check_number, check_takes, check_whole, keep
from variflow.base.fields import Declared
from variflow.base.kinds import name_kind
from variflow.energy import Energy
from variflow.energy.levels import is_fixed
from variflow.filters import Filter
from variflow.images.warping import INTERPOLATIONS, Interpolation
from variflow.linearisation.linearisation import DERIVATIVES, Derivative
from variflow.solve.minimum import NativeSolver
from variflow.unknowns.unknowns import Unknowns, allows_any_flow


@dataclass(frozen=True)
class Model(Declared):
    """How a flow is computed.

    Attributes
    ----------
    energy : callable
        ``energy(d, at) -> scalar``, see `variflow.energy`.
    solver : optimistix minimiser or optax optimiser, optional
        What minimises the energy at each warp. None is `solve.local_system.LocalSystem` for a sum of terms that it can
        take, and `solve.newton.TruncatedNewton` for any other energy. An optax optimiser (``optax.sgd(0.1)``) runs for
        exactly `steps` steps; a minimiser of optimistix also stops at its own tolerance.
    steps : int
        The most steps of the solver per warp; typically 20 to 500.
    warps : int or tuple of int
        How often the frames are linearised at each level; typically 1 to 10. More warps follow larger motion and remove
        the error of linearising. A tuple gives the number for the finest level that is solved, for the next coarser
        one, and so on; its last number is for all coarser levels, and for the coarsest even if there are too few.
    limit : float
        The most that a component of the flow may change in one warp, in pixels; typically 0.5 to 2, and infinite for no
        limit. Beyond it the linearised frames cannot be trusted. A small limit keeps the flow from swinging to and fro
        between warps where nothing matches, as in occlusions.
    derivative : {"average", "first", "second", "warped"}
        Where spatial derivatives are taken: of the first frame, the second as it is, the second warped, or the
        average of the first and the warped, which is the most accurate. The derivatives of "second" are those at the
        pixel, and not at its target, so they are only for motions of less than a pixel.
    interpolation : {"bicubic", "bilinear", "spline"}
        How the second frame is warped. Bicubic has less sub-pixel bias than bilinear, a spline least of all.
    factor : float
        Size of each level of the pyramid relative to the finer one, between 0.4 and 0.98. Closer to 1 is slower and
        more accurate.
    coarsest : int
        The shorter side of every level is at least this many pixels; typically 8 to 32. The depth of the
        pyramid follows from it and from the size of the frames.
    finest : int
        The level at which the estimate ends, at least -1; its flow is then brought to the size of the frames. 1 leaves
        their own size out, for speed; but no level whose shorter side is below 64 pixels is the last, if there is a
        larger one. -1 adds one that is finer: the frames are enlarged by ``1 / factor``, so that
        motion edges are sampled more finely. Frames with a pattern of missing pixels are not.
    presmoothing : float
        Standard deviation in pixels of a Gaussian that the frames are smoothed with, at least 0; typically up to 1.
        It removes noise and aliases that derivatives would amplify, and fine texture with them.
    filter : callable, optional
        Filters the flow after the last warp of a level: ``filters.Median(5)``, ``filters.WeightedMedian()``, or any
        ``(flow, at) -> flow`` of planes ``(u, v)``.
    channels : {"all", "gray"}
        What the data terms see of frames with several channels.
    start : {"zero", "matches"}
        Where the estimate starts. With ``"zero"`` it starts from zero flow at the coarsest level. With ``"matches"``,
        frames whose parts move far against each other are matched first (`variflow.match`), and the estimate starts
        from the matches at a quarter of the size. This takes longer where motion is large, and finds small things that
        move far.
    light : {"same", "matched"}
        Whether the light may differ between the frames. With ``"matched"``, a gain and an offset of each channel bring
        the second frame's intensities to those of the first, if they explain most of the difference; intensities that
        one frame shows saturated are cut off in both (see `variflow.lighting`). An energy that weighs brightness at
        least as much as its other data is led astray by small changes, too; for it they are matched from 1.5 / 255 of
        the range on. In light that does not change, the flow is exactly that of ``"same"``.
    noise : {"ignored", "estimated"}
        Whether data terms with a `normalisation` allow for noise. With ``"estimated"``, the standard deviation of the
        noise, in the mean of the channels, is measured where the frames show little else. It replaces the normalisation
        zeta where it is larger, so that image gradients that may be noise count less. Frames without visible noise have
        the flow of ``"ignored"``.
    occlusion : {"unknown", "estimated"}
        Whether the data terms leave out what the second frame does not show. With ``"estimated"``, the backward flow is
        estimated too, once half the size is reached. At finer levels, points that are occluded (see `Result.occlusion`)
        count nothing in the data terms, and their flow follows their surroundings. Motion edges are more accurate, for
        a sixth more time with `accurate`, half as much again with `balanced`.
    unknowns : Unknowns, optional
        What is sought in place of the flow: the flow and further planes, a stream function, a few numbers (see
        `variflow.unknowns`). By default it is the flow itself.
    name : str
        Name of the model.

    Raises
    ------
    TypeError, ValueError
        If a field is wrong; the message names it.

    Examples
    --------
    >>> from variflow.energy import L1, BrightnessConstancy, Charbonnier, Smoothness
    >>> from variflow.models import Model
    >>> model = Model(BrightnessConstancy(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.01)), warps=3)
    """

    energy: Energy
    solver: object = None
    steps: int = 100
    warps: int | tuple[int, ...] = 5
    limit: float = math.inf
    derivative: Derivative = "average"
    interpolation: Interpolation = "bicubic"
    factor: float = 0.5
    coarsest: int = 16
    finest: int = 0
    presmoothing: float = 0.0
    filter: Filter | None = None
    channels: Literal["all", "gray"] = "all"
    start: Literal["zero", "matches"] = "zero"
    light: Literal["same", "matched"] = "same"
    noise: Literal["ignored", "estimated"] = "ignored"
    occlusion: Literal["unknown", "estimated"] = "unknown"
    unknowns: Unknowns | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _check_function("energy", self.energy, "energy(d, at) -> scalar")
        if self.filter is not None:
            _check_function("filter", self.filter, "filter(flow, at) -> flow")
        if self.solver is not None and not isinstance(self.solver, NativeSolver):
            from variflow.solve import general  # which imports JAX

            general.as_minimiser(self.solver)
        _check_unknowns(self.unknowns, self.filter)
        for field, least in (("steps", 1), ("coarsest", 1), ("finest", -1)):
            keep(self, **{field: check_whole(field, getattr(self, field), least)})
        keep(self, warps=_check_warps(self.warps))
        choices: dict[str, tuple[str, ...]] = {
            "derivative": DERIVATIVES,
            "interpolation": INTERPOLATIONS,
            "channels": ("all", "gray"),
            "start": ("zero", "matches"),
            "light": ("same", "matched"),
            "noise": ("ignored", "estimated"),
            "occlusion": ("unknown", "estimated"),
        }
        for field, allowed in choices.items():
            check_choice(field, getattr(self, field), allowed)
        keep(
            self,
            limit=check_number("limit", self.limit, above=0, infinite=True, what="a number of pixels"),
            factor=check_number("factor", self.factor, least=0.4, most=0.98),
            presmoothing=check_number("presmoothing", self.presmoothing, least=0, most=100, what="a number of pixels"),
        )
        if not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}, wanted a str")

    @cached_property
    def is_plain(self) -> bool:
        """Whether the library's own terms make up the energy, without arrays, and suit the solver for any frames."""
        if self.unknowns is not None or not isinstance(self.solver, NativeSolver):
            return False
        return is_fixed(self.energy) and self.solver.takes(self.energy)

    def warps_at(self, level: int, coarsest: int | None = None, finest: int | None = None) -> int:
        """Return how many warps a level of the pyramid has; 0 is that of the frames.

        An estimate starts from nothing at the level `coarsest`, so that has the last number of a tuple. Small frames
        end at a finer level than the model says, `finest`, and warps count from there.
        """
        if isinstance(self.warps, int):
            return self.warps
        number = len(self.warps) - 1
        last = self.finest if finest is None else min(self.finest, finest)
        return self.warps[number if level == coarsest else min(max(level - last, 0), number)]


def _check_function(name: str, value: object, wanted: str) -> None:
    """Raise TypeError, naming the field, if it is not a function or an object that is called like one."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}, wanted one of its objects: {value.__name__}(...)")
    if not callable(value):
        raise TypeError(f"{name} is {name_kind(value)}, wanted a function {wanted}")
    check_takes(2, name, value, f"a function {wanted}")


def _check_unknowns(unknowns: object, flow_filter: Filter | None) -> None:
    if isinstance(unknowns, type):
        raise TypeError(f"unknowns is the class {unknowns.__name__}, wanted one of its objects: {unknowns.__name__}()")
    if unknowns is not None and not isinstance(unknowns, Unknowns):
        raise TypeError(f"unknowns is {name_kind(unknowns)}, wanted one of variflow.unknowns, or None for the flow")
    if flow_filter is not None and not allows_any_flow(unknowns):
        raise ValueError(
            f"filter is {flow_filter!r}, whose flows {type(unknowns).__name__} cannot stand for, wanted None: no filter"
        )


def _check_warps(warps: object) -> int | tuple[int, ...]:
    counts = warps if isinstance(warps, tuple) else (warps,)
    try:
        checked = tuple(check_whole("warps", count, 1) for count in counts or (0,))
    except ValueError:
        raise ValueError(f"warps is {warps!r}, wanted a whole number of at least 1, or a tuple of such") from None
    return checked if isinstance(warps, tuple) else checked[0]
