"""The native solver of energies whose residuals look at a neighbourhood: any smoothness, any physics of the motion.

One reweighted Gauss-Newton step a warp. JAX tells which pixels each residual depends on; the core makes the linear
system of that, and solves it by conjugate gradients, preconditioned with a multigrid cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.choices import check_number, check_whole, keep
from variflow.energy.data import DataTerm, defines_residuals
from variflow.energy.flow_term import FlowTerm
from variflow.energy.penalties import Quadratic
from variflow.energy.residuals import NotTakenApart
from variflow.energy.smoothness import Smoothness
from variflow.energy.structure import Structure
from variflow.energy.taps import Tap
from variflow.energy.term import Energy
from variflow.images.resampling import Planes, stack
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.damping import damp_tensor, settle_shared_motion
from variflow.solve.determined import (
    Pixels,
    find_alone,
    warn_of_free_components,
    warn_of_lost_data,
    warn_of_undetermined,
)
from variflow.solve.making import Making, check_making, find_making
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.native_penalties import native_penalty
from variflow.solve.studying import find_taps, study
from variflow.solve.taking_apart import (
    check_around,
    check_data,
    data_and_smoothness,
    edges_stay,
    image_edges,
    is_pixelwise,
    linearised,
    motion_tensor,
)
from variflow.unknowns.unknowns import Place, make_planes

if TYPE_CHECKING:
    from variflow.energy.autodiff.programs import Call

__all__ = ["LocalSystem"]


def __dir__() -> list[str]:
    return sorted(__all__)


# Where the energy rises, the matrices of data terms of neighbourhoods are taken so many times, and that so often.
_STIFFER, _TRIALS = 4.0, 5
# A second root of a motion tensor is a rounding error below this share of how strongly v alone is determined.
_UNSEEN = 1e-3
# The energy, a sum in single precision, may seem to rise by this share of it.
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False, repr=False)
class _Parts(Brief):
    """An energy taken apart; `kept` are the terms of the flow for the core that stay for a level, and `grids` serve it.

    Data terms `of_more` depend on further planes than the flow. The residuals of `around` depend on a neighbourhood
    each; their matrices are taken `stiffness` times. Of each of the terms `smooth` that a person may write there is the
    structure. No term of the flow looks at the pixels that are `alone`.
    """

    data: list[tuple[DataTerm, float]]
    of_more: list[tuple[DataTerm, float]]
    around: list[tuple[DataTerm, float]]
    smooth: list[tuple[Smoothness | FlowTerm, float]]
    structures: list[Structure | None]
    alone: Pixels | None
    making: Making
    kept: dict[int, list[_core.LocalTerm]]
    grids: _core.CoarserGrids
    stiffness: float = 1.0

    @classmethod
    def of(cls, energy: Energy, at: LevelLinearisation, known: list[Structure | None] | None = None) -> _Parts:
        """Take an energy apart; some structures of its terms may be known from another level."""
        data, smooth = data_and_smoothness(energy, FlowTerm)
        parts: tuple[list[tuple[DataTerm, float]], ...] = [], [], []
        of_pixels, of_more, around = parts
        for term, factor in data:
            more = at.further and defines_residuals(type(term))
            (of_more if more else of_pixels if is_pixelwise(term, at) else around).append((term, factor))
        structures = [
            before or (study(term, at) if isinstance(term, FlowTerm) else None)
            for (term, _), before in zip(smooth, known or [None] * len(smooth), strict=True)
        ]
        all_known = [structure for structure in structures if structure]
        alone = find_alone(all_known, at.shape) if structures and len(all_known) == len(smooth) else None
        return cls(of_pixels, of_more, around, smooth, structures, alone, find_making(at), {}, _core.CoarserGrids())


@dataclass(frozen=True)
class LocalSystem(NativeSolver):
    """Reweighted Gauss-Newton steps in the native core, for residuals that look at a neighbourhood.

    For sums of data terms and of any number of terms of the flow, `Smoothness` and those derived from `FlowTerm`, with
    any penalties. It also finds other unknowns than the flow, if they are planes (see `variflow.unknowns`).

    Parameters
    ----------
    iterations : int
        The most iterations of conjugate gradients at each warp; typically 3 to 50.
    tolerance : float
        They end once the residual of the linear system is this part of what it was; typically 0.3 to 0.001. At all
        warps but the very last, its root is enough: the next one begins where they end.

    References
    ----------
    U. Trottenberg, C. W. Oosterlee and A. Schueller, Multigrid, 2001, chapters 7 and A.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, FlowTerm, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.local_system import LocalSystem
    >>> class Divergence(FlowTerm):
    ...     def residuals(self, flow, at):
    ...         u, v = flow
    ...         return [u[:-1, 1:] - u[:-1, :-1] + v[1:, :-1] - v[:-1, :-1]]
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + 0.1 * Divergence() + 0.01 * Smoothness()
    >>> model = Model(energy, solver=LocalSystem())
    """

    compiles: ClassVar[bool] = True

    iterations: int = 20
    tolerance: float = 0.2

    def __post_init__(self) -> None:
        keep(
            self,
            iterations=check_whole("iterations of LocalSystem", self.iterations, 1),
            tolerance=check_number("tolerance of LocalSystem", self.tolerance, above=0, below=1),
        )

    def carry(self, state: Any) -> list[Structure | None] | None:
        """Return the structures of terms that are the same at all levels."""
        if not isinstance(state, _Parts):
            return None
        return [structure if structure and structure.anywhere else None for structure in state.structures]

    def on_the_way(self) -> LocalSystem:
        """Return the solver of all warps but the very last."""
        return replace(self, tolerance=self.tolerance**0.5)

    def list_calls(self, energy: Energy, at: LevelLinearisation) -> list[Call]:
        """Return the calls of programs, compiled by JAX, that a level takes."""
        around = [term for term, _ in data_and_smoothness(energy, FlowTerm)[0] if not is_pixelwise(term, at)]
        if not around:
            return []
        from variflow.energy.autodiff import neighbourhood

        return [call for term in around for call in neighbourhood.list_calls(term, at)]

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""
        data, smooth = data_and_smoothness(energy, FlowTerm)
        if not any(factor * term.weight > 0 for term, factor in data):
            raise NotTakenApart("all data terms have the weight 0")
        for term, _ in (*data, *smooth):
            native_penalty(term.penalty)
        check_making(at)
        pixelwise = all(is_pixelwise(term, at) for term, _ in data)
        (check_data if pixelwise else check_around)(data, at)
        studied = []
        for term, factor in smooth:
            if isinstance(term, FlowTerm):
                studied.append((term, factor * term.weight, study(term, at)))
        if at.unknowns is None and pixelwise:
            if not any(isinstance(term, Smoothness) and factor * term.weight > 0 for term, factor in smooth):
                warn_of_undetermined(data, studied, at)
            warn_of_free_components(smooth, [structure for _, weight, structure in studied if weight > 0])
            edges = [(term, factor * term.weight, None) for term, factor in smooth if isinstance(term, Smoothness)]
            warn_of_lost_data(data, [*studied, *edges], at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take one reweighted step from the flow so far."""
        parts = state if isinstance(state, _Parts) else _Parts.of(energy, at, state)
        terms = [term for number in range(len(parts.smooth)) for term in _find_terms(parts, number, at)]
        terms += _data_terms(parts, at)
        start = stack(at.flow if at.values is None else tuple(at.values.values()))[:, None]
        tensor = motion_tensor(parts.data, at)
        damping = damp_tensor(tensor, parts.alone)
        if parts.around:
            return self._minimise_around(parts, start, terms, (tensor, damping), at)
        if parts.making.residuals is None:
            problem = _core.LocalProblem(start, terms, tensor, damping)
        else:
            for plane, added in zip(tensor, damping, strict=False):
                plane += added
            problem = _core.LocalProblem(start, [*terms, _tensor_term(tensor, parts.making)])
        unknowns, _, residual = _core.solve_local(problem, self.tolerance, self.iterations, parts.grids)
        if at.values is None:
            unknowns = settle_shared_motion(tensor, damping, start, unknowns, parts.structures)
        values = None if at.values is None else dict(zip(at.values, unknowns[:, 0], strict=True))
        u, v = unknowns[:, 0] if values is None else make_planes(at.unknowns, values, Place(at))[:2]

        def energies() -> tuple[float, float]:
            still, data = np.zeros_like(u), [term.native() for term in linearised(parts.data, at)]
            increments = (still, still), (u - at.flow[0], v - at.flow[1])
            of_data = (sum(_core.data_energy(term, at.weights, *d) for term in data) for d in increments)
            seen = _core.LocalProblem(start, terms) if parts.making.residuals is not None else problem
            of_flow = (_core.local_energy(seen, flow) for flow in (start, unknowns))
            before, after = map(sum, zip(of_data, of_flow, strict=True))
            return before, after

        exhausted = residual > self.tolerance
        return Minimum(
            at.flow,
            (u, v),
            energies,
            exhausted=exhausted,
            finished=not exhausted,
            state=parts,
            values=values,
        )

    def _minimise_around(
        self,
        parts: _Parts,
        start: Planes,
        terms: list[_core.LocalTerm],
        damped: tuple[Planes, list[float]],
        at: LevelLinearisation,
    ) -> Minimum:
        """Take a step of an energy with data terms of neighbourhoods, stiffened until the energy falls."""
        from variflow.energy.autodiff import neighbourhood

        expanded = [(factor, *neighbourhood.expand(term, at)) for term, factor in parts.around]
        data = [term.native() for term in linearised(parts.data, at)]

        def evaluate(problem: _core.LocalProblem, unknowns: Planes) -> float:
            d = unknowns[0, 0] - at.flow[0], unknowns[1, 0] - at.flow[1]
            of_pixels = sum(_core.data_energy(term, at.weights, *d) for term in data)
            of_around = (
                sum(factor * value for factor, value, *_ in expanded)
                if unknowns is start
                else sum(factor * neighbourhood.evaluate(term, d, at) for term, factor in parts.around)
            )
            return float(_core.local_energy(problem, unknowns) + of_pixels + of_around)

        stiffness, before = parts.stiffness, evaluate(_core.LocalProblem(start, terms), start)
        tensor, damping = damped
        for _ in range(_TRIALS):
            whole = tensor.copy()
            for factor, _, matrix, slope in expanded:
                whole[:3] += factor * stiffness * matrix
                whole[3:] += factor * slope
            problem = _core.LocalProblem(start, terms, whole, damping)
            unknowns, _, residual = _core.solve_local(problem, self.tolerance, self.iterations, parts.grids)
            after = evaluate(problem, unknowns)
            if after <= before + _ROUNDING * abs(before):
                break
            stiffness *= _STIFFER
        fell = after <= before + _ROUNDING * abs(before)
        if stiffness == parts.stiffness:
            stiffness = max(1.0, stiffness / _STIFFER**0.5)
        state = replace(parts, stiffness=stiffness)
        return Minimum(
            at.flow,
            (unknowns[0, 0], unknowns[1, 0]) if fell else at.flow,
            lambda: (before, after if fell else before),
            exhausted=residual > self.tolerance,
            rose="" if fell else "the step did not lower the energy, however short it was",
            state=state,
        )


def _find_terms(parts: _Parts, number: int, at: LevelLinearisation) -> list[_core.LocalTerm]:
    """Return one of the terms of the flow for the core, and keep it if it stays for the level."""
    if number in parts.kept:
        return parts.kept[number]
    term, factor = parts.smooth[number]
    if isinstance(term, Smoothness):
        terms, stays = _smoothness_terms(term, factor, at, parts.making), edges_stay(term)
    else:
        structure = parts.structures[number]
        assert structure is not None
        terms, stays = _flow_terms(term, factor, at, structure, parts.making), structure.stays
    if stays:
        parts.kept[number] = terms
    return terms


def _flow_terms(
    term: FlowTerm, factor: float, at: LevelLinearisation, structure: Structure, making: Making
) -> list[_core.LocalTerm]:
    residuals = find_taps(term, at, structure)
    penalty, weight = native_penalty(term.penalty), factor * term.weight
    sizes = dict.fromkeys(residual.shape for residual in residuals)  # one, if they are penalised jointly
    groups = [[residual for residual in residuals if residual.shape == size] for size in sizes]
    return [
        _core.LocalTerm(
            [_hold(residual.taps, making, residual.value, at_start=residual.at_start) for residual in group],
            term.per == "pixel",
            penalty,
            weight,
            _mark(group[0].shape, making.grid),
        )
        for group in groups
    ]


def _smoothness_terms(term: Smoothness, factor: float, at: LevelLinearisation, making: Making) -> list[_core.LocalTerm]:
    """Return first differences over the edges to the right and below."""
    height, width = at.flow[0].shape
    penalty, weight = native_penalty(term.penalty), factor * term.weight
    jointly = term.per == "pixel"
    terms, residuals = [], []
    parts = (height, width - 1), (height - 1, width)
    for guide, part, offset in zip(image_edges(term, at), parts, ((0, 1), (1, 0)), strict=True):
        weights = _mark(part, making.grid)
        if guide is not None:
            weights *= making.spread(guide)
        inside = np.sqrt(weights) if jointly else None
        differences = [
            _hold([Tap(unknown, offset, 1.0, inside), Tap(unknown, (0, 0), -1.0, inside)], making) for unknown in (0, 1)
        ]
        residuals += differences
        terms.append(_core.LocalTerm(differences, True, penalty, weight, weights))
    return [_core.LocalTerm(residuals, True, penalty, weight)] if jointly else terms


def _data_terms(parts: _Parts, at: LevelLinearisation) -> list[_core.LocalTerm]:
    """Return the data terms that depend on further planes than the flow."""
    terms = []
    for data in linearised(parts.of_more, at):
        *derivatives, values = data.residuals
        scale = len(values) ** -0.5  # residuals are penalised by the mean of their squares
        residuals = []
        for number, value in enumerate(values):
            slopes = [planes[number] for planes in derivatives]
            if data.normalisation:
                size = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + data.normalisation**2)
                slopes, value = [slope / size for slope in slopes], value / size
            taps = [Tap(unknown, (0, 0), scale, slope) for unknown, slope in enumerate(slopes) if slope.any()]
            residuals.append(_hold(taps, parts.making, scale * value, at_start=True))
        weights = parts.making.spread(at.weights)[None]
        terms.append(_core.LocalTerm(residuals, True, native_penalty(data.penalty), data.weight, weights))
    return terms


def _tensor_term(tensor: Planes, making: Making) -> _core.LocalTerm:
    """Return a motion tensor as two residuals of each pixel: its root by Cholesky, for unknowns other than the flow."""
    uu, uv, vv, u, v = tensor
    first = np.sqrt(uu)
    mixed = _divide(uv, first)
    second = np.sqrt(np.maximum(vv - mixed * mixed, 0))
    second[second <= _UNSEEN * np.sqrt(vv)] = 0
    of_first = _divide(u, first)
    of_second = _divide(v - mixed * of_first, second)
    residuals = [
        _hold([Tap(0, (0, 0), 1.0, first), Tap(1, (0, 0), 1.0, mixed)], making, of_first, at_start=True),
        _hold([Tap(1, (0, 0), 1.0, second)], making, of_second, at_start=True),
    ]
    return _core.LocalTerm(residuals, False, native_penalty(Quadratic()), 1.0)


def _divide(plane: Planes, root: Planes) -> Planes:
    """Return a plane divided by another, 0 where that is."""
    return np.divide(plane, root, out=np.zeros_like(plane), where=root > 0)


def _hold(
    taps: list[Tap], making: Making, value: Planes | None = None, *, at_start: bool = False
) -> _core.LocalResidual:
    """Return a residual for the core, by the unknowns."""
    held = [
        _core.Tap(
            tap.unknown,
            (0, *tap.offset),
            tap.factor,
            None if tap.plane is None else making.spread(tap.plane).reshape(1, *making.grid),
        )
        for tap in making.compose(taps)
    ]
    return _core.LocalResidual(held, None if value is None else making.spread(value).reshape(1, *making.grid), at_start)


def _mark(part: tuple[int, int], shape: tuple[int, int]) -> Planes:
    """Return 1 in so many first rows and columns and 0 elsewhere, (1, H, W)."""
    marked = np.zeros((1, *shape), np.float32)
    marked[0, : part[0], : part[1]] = 1
    return marked
