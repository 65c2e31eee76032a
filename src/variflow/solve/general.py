"""Minimise any energy that JAX can differentiate: by Newton's method, or by any minimiser of optimistix or optax."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from variflow.base.errors import warn
from variflow.base.kinds import name_kind
from variflow.energy.autodiff.coupling import leaves_flat_ground_free
from variflow.energy.autodiff.programs import apply_settings
from variflow.energy.autodiff.tracing import explain_faults, name_of
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import newton
from variflow.solve.checking import ASK, NO_MINIMUM, explain_not_finite, find_departure, find_fault, find_fault_at_start
from variflow.solve.idle import warn_of_idle_terms
from variflow.solve.minimum import Minimum, may_stop
from variflow.solve.newton import TruncatedNewton
from variflow.solve.of_values import make_zero

if TYPE_CHECKING:
    from variflow.solve.minimisers import Minimiser

# A solver whose state is larger than this many flows stores a matrix, not only a few vectors.
_LARGEST_STATE_IN_FLOWS = 200
# A state smaller than this many bytes is no trouble.
_SMALL_STATE = 2**30
_FREE = (
    "{} leaves the flow free where the frames are flat, and hardly determines it along edges: a smoothness must see "
    "at.flow[0] + d[0] and at.flow[1] + d[1], not at at.flow alone; or add one, such as 0.01 * Smoothness()"
)
# An energy has risen if it ends higher than it began by the share `RISE`; less may come from steps around a minimum. A
# solver came to rest if it raised the energy by at most `_ROUNDING` and, if it took all its steps, lowered it by at
# most `_FALL` in the last half of them.
RISE, _ROUNDING, _FALL = 1e-2, 1e-4, 1e-3


def as_minimiser(solver: object) -> Minimiser | TruncatedNewton:
    """Return a solver as a minimiser: Newton's method for None, or a minimiser of optimistix."""
    if solver is None:
        return TruncatedNewton()
    if isinstance(solver, TruncatedNewton):
        return solver
    from variflow.solve import minimisers  # which imports optimistix and optax

    return minimisers.as_minimiser(solver)


@apply_settings()
def check(energy: Energy, solver: object, at: Linearisation) -> None:
    """Check, before any work, that the energy returns one float and that the solver's state fits in memory.

    Raises
    ------
    TypeError, ValueError
        If the energy returns anything but one float.
    MemoryError
        If the solver stores a dense Hessian too large for these frames.
    """
    at = at.plain()
    returned: list[Any] = []
    with explain_faults(energy, at.valid.shape):
        jax.eval_shape(lambda d, at: returned.append(energy(d, at)), make_zero(energy, at), at)
    (out,) = returned
    if not isinstance(out, jax.Array | np.ndarray | np.generic | float):
        hint = "; does it lack a return?" if out is None else ""
        raise TypeError(f"energy returned {name_kind(out)}, wanted one float: a sum over pixels{hint}")
    if not isinstance(out, float) and not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(f"energy returned {out.dtype}, wanted one float: a sum over pixels")
    if np.shape(out) != ():
        raise ValueError(f"energy returned an array of shape {np.shape(out)}, wanted one float: a sum over pixels")
    warn_of_idle_terms(energy, at)
    minimiser = as_minimiser(solver)
    if isinstance(minimiser, TruncatedNewton):
        return
    from variflow.solve import minimisers

    size = minimisers.measure_state(energy, minimiser, at)
    flow = sum(plane.nbytes for plane in at.flow)
    if size > max(_SMALL_STATE, _LARGEST_STATE_IN_FLOWS * flow):
        height, width = at.valid.shape
        raise MemoryError(
            f"solver {type(solver).__name__} would need {size / 2**30:.1f} GiB for frames of {height} x {width}: it "
            "stores a dense matrix; take LBFGS, NonlinearCG or an optax optimiser, or smaller frames"
        )


@apply_settings()
def warn_of_free_ground(energy: Energy, solver: object, at: LevelLinearisation) -> None:
    """Warn if Newton's method follows noise where the frames are flat: nothing else in an energy says where to go."""
    newtons = isinstance(as_minimiser(solver), TruncatedNewton) and at.unknowns is None
    if newtons and leaves_flat_ground_free(energy, at):
        warn(_FREE.format(name_of(energy)))


@apply_settings()
def choose(energy: Energy, at: Linearisation) -> tuple[object, str]:
    """Return the solver for an energy whose model names none, and why, if it is not Newton's method."""
    at = at.plain()
    if fault := newton.find_fault(energy, at):
        import optimistix

        reason = f"L-BFGS minimised the energy, which JAX cannot differentiate twice ({fault})"
        return optimistix.LBFGS(rtol=1e-5, atol=1e-5), reason
    return None, ""


@apply_settings()
def minimise(energy: Energy, solver: object, steps: int, at: LevelLinearisation, state: object = None) -> Minimum:
    """Minimise ``energy(d, at)`` over the increment d, from zero, in at most `steps` steps of the solver."""
    minimiser = as_minimiser(solver)
    with explain_faults(energy, at.shape):
        if isinstance(minimiser, TruncatedNewton):
            found = newton.minimise(energy, minimiser, steps, at, state)
        else:
            from variflow.solve import minimisers

            found = minimisers.iterate(energy, minimiser, steps, at.plain())
    (u, v), before, after = found.increment, found.before, found.after
    if not np.isfinite(before):
        zero = np.zeros_like(u), np.zeros_like(v)
        raise ValueError(explain_not_finite(energy, zero, at.plain(), "the zero increment", before))
    rose, finished = False, False
    if not (np.isfinite(after) and np.isfinite(u).all() and np.isfinite(v).all()):
        fault = find_fault_at_start(energy, at.plain())
        if not fault:
            fault = (
                NO_MINIMUM if after == -np.inf else f"the solver diverged (energy {after}): {suggest_remedy(solver)}"
            )
    elif found.met:
        fault, finished = find_departure((u, v), at), True
    else:
        fault, finished = find_fault(energy, (u, v), at.plain(), before)
        rose = after - before > RISE * abs(before)
        finished = finished and after - before <= _ROUNDING * abs(before)
        if found.steps.size == steps:
            # Newton's method takes all steps where it does not get ahead, as at kinks.
            finished = finished and not isinstance(minimiser, TruncatedNewton)
            half_way = (before, *found.steps)[steps // 2]
            finished = finished and bool(half_way - after <= _FALL * max(abs(before), abs(after)))
    start = at.flow
    return Minimum(
        start=start,
        flow=start if fault or rose else (start[0] + u, start[1] + v),
        energies=lambda: (before, after),
        steps=found.steps,
        exhausted=may_stop(minimiser) and not found.met and found.steps.size == steps,
        rose=suggest_remedy(solver) if rose and not fault else "",
        finished=finished and not fault,
        failure=f"stopped because {fault}" if fault else "",
        state=found.state,
        retrace=partial(_retrace, energy, minimiser, steps, at, state),
    )


@apply_settings()
def _retrace(
    energy: Energy,
    minimiser: Minimiser | TruncatedNewton,
    steps: int,
    at: LevelLinearisation,
    state: object,
    count: int,
) -> tuple[Planes, Planes]:
    """Return the increment after some of the steps that were taken."""
    if isinstance(minimiser, TruncatedNewton):
        u, v = newton.minimise(energy, minimiser, steps, at, state, until=count).increment
    else:
        from variflow.solve import minimisers

        u, v = minimisers.iterate_again(energy, minimiser, count, at.plain())
    return np.asarray(u), np.asarray(v)


def suggest_remedy(solver: object) -> str:
    """Return what to do where a solver raised the energy."""
    if not (solver is None or isinstance(solver, TruncatedNewton)):
        from variflow.solve import minimisers

        if remedy := minimisers.suggest_remedy(solver):
            return remedy
    return f"{ASK} If it has one, take another solver than {type(as_minimiser(solver)).__name__}"
