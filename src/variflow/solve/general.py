"""Minimise any energy that JAX can differentiate: by Newton's method, or by any minimiser of optimistix or optax.

All steps of one warp are one compiled program. For a minimiser of optimistix it is a scan over the minimiser's own
step, which also yields the energy of every step. The program is compiled once for each combination of energy, solver,
number of steps and frame size (see `variflow.energy.autodiff.programs`). Its inputs are the numbers inside an energy
(weights and constants of terms) and inside ``at``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix

from variflow.energy.autodiff.programs import apply_settings, run
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.term import Energy, Increment
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import least_squares, newton
from variflow.solve.checking import ASK, NO_MINIMUM, explain_not_finite, find_departure, find_fault, find_fault_at_start
from variflow.solve.descent import Found
from variflow.solve.minimum import Minimum
from variflow.solve.newton import TruncatedNewton
from variflow.solve.of_values import EnergyOfValues

# A solver whose state is larger than this many flows stores a matrix, not only a few vectors.
_LARGEST_STATE_IN_FLOWS = 200
# A state smaller than this many bytes is no trouble.
_SMALL_STATE = 2**30

# A minimiser over an increment, whose state is its own affair; the auxiliary output is the energy.
# One of least squares is given planes whose squares add up to the energy.
Minimiser = (
    optimistix.AbstractMinimiser[Increment, jax.Array, Any]
    | optimistix.AbstractLeastSquaresSolver[Increment, Any, jax.Array, Any]
)
_Function = Callable[[Increment, object], tuple[Any, jax.Array]]
# Between steps: the increment, the arrays of the solver's state, the number of steps taken, and whether it is done.
_Carry = tuple[Increment, object, jax.Array]
_CarryUnlessDone = tuple[Increment, object, jax.Array, jax.Array]

_WANTED = (
    "wanted a minimiser of optimistix (LBFGS, NonlinearCG, GradientDescent, OptaxMinimiser, ...) or an optimiser of "
    "optax (sgd, adam, ...)"
)
_FOR_OTHER_PROBLEMS = optimistix.AbstractRootFinder, optimistix.AbstractFixedPointSolver
# An energy has risen if it ends higher than it began by the share `RISE`; less may come from steps around a minimum. A
# solver came to rest if it raised the energy by at most `_ROUNDING` and, if it took all its steps, lowered it by at
# most `_FALL` in the last half of them.
RISE, _ROUNDING, _FALL = 1e-2, 1e-4, 1e-3


def as_minimiser(solver: object) -> Minimiser | TruncatedNewton:
    """Return a solver as a minimiser: Newton's method for None, or a minimiser of optimistix.

    An optimiser of optax becomes one that runs for a fixed number of steps.
    """
    if solver is None:
        return TruncatedNewton()
    if isinstance(solver, TruncatedNewton):
        return solver
    if isinstance(solver, optimistix.NelderMead):
        raise TypeError(f"solver is a NelderMead, which keeps a point more than there are unknowns: {_WANTED}")
    if isinstance(solver, optimistix.AbstractMinimiser | optimistix.AbstractLeastSquaresSolver):
        return solver
    if isinstance(solver, optax.GradientTransformation):
        # Optimistix looks into the closures of functions, and fails at an empty one, as in the schedules of optax.
        whole = optax.GradientTransformationExtraArgs(partial(solver.init), partial(solver.update))
        return optimistix.OptaxMinimiser(whole, rtol=0.0, atol=0.0)
    kind = type(solver).__name__
    if isinstance(solver, _FOR_OTHER_PROBLEMS):
        raise TypeError(
            f"solver is a {kind}, which solves for roots or fixed points, not for the minimum of an energy: {_WANTED}"
        )
    if isinstance(solver, type):
        raise TypeError(f"solver is the class {solver.__name__}, wanted one of its objects: {solver.__name__}(...)")
    name = getattr(solver, "__name__", "")
    if name:
        raise TypeError(f"solver is the function {name}, wanted what an optimiser's function returns, or {_WANTED}")
    raise TypeError(f"solver is a {kind}, {_WANTED}")


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
    with explain_faults(energy, at.valid.shape):
        out = eqx.filter_eval_shape(energy, _make_zero(energy, at), at)
    if not isinstance(out, jax.ShapeDtypeStruct | float):
        hint = "; does it lack a return?" if out is None else ""
        raise TypeError(f"energy returned a {type(out).__name__}, wanted one float: a sum over pixels{hint}")
    if isinstance(out, jax.ShapeDtypeStruct) and not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(f"energy returned {out.dtype}, wanted one float: a sum over pixels")
    if isinstance(out, jax.ShapeDtypeStruct) and out.shape != ():
        raise ValueError(f"energy returned an array of shape {out.shape}, wanted one float: a sum over pixels")
    minimiser = as_minimiser(solver)
    if isinstance(minimiser, TruncatedNewton):
        return
    state = eqx.filter_eval_shape(_make_first_state, energy, minimiser, at)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    if isinstance(minimiser, optimistix.AbstractLeastSquaresSolver) and not _is_iterative(minimiser):
        size += least_squares.measure_jacobian(energy, _make_zero(energy, at), at)
    flow = sum(plane.nbytes for plane in at.flow)
    if size > max(_SMALL_STATE, _LARGEST_STATE_IN_FLOWS * flow):
        height, width = at.valid.shape
        raise MemoryError(
            f"solver {type(solver).__name__} would need {size / 2**30:.1f} GiB for frames of {height} x {width}: it "
            "stores a dense matrix; take LBFGS, NonlinearCG or an optax optimiser, or smaller frames"
        )


@apply_settings()
def choose(energy: Energy, at: Linearisation) -> tuple[object, str]:
    """Return the solver for an energy whose model names none, and why, if it is not Newton's method."""
    at = at.plain()
    if fault := newton.find_fault(energy, at):
        reason = f"L-BFGS minimised the energy, which JAX cannot differentiate twice ({fault})"
        return optimistix.LBFGS(rtol=1e-5, atol=1e-5), reason
    return None, ""


@apply_settings()
def minimise(energy: Energy, solver: object, steps: int, given: LevelLinearisation, state: object = None) -> Minimum:
    """Minimise ``energy(d, at)`` over the increment d, from zero, in at most `steps` steps of the solver."""
    at = given.plain()
    minimiser = as_minimiser(solver)
    with explain_faults(energy, at.valid.shape):
        if isinstance(minimiser, TruncatedNewton):
            found = newton.minimise(energy, minimiser, steps, given, state)
        else:
            found = iterate(energy, minimiser, steps, at)
    (u, v), before, after = found.increment, found.before, found.after
    if not np.isfinite(before):
        zero = np.zeros_like(u), np.zeros_like(v)
        raise ValueError(explain_not_finite(energy, zero, at, "the zero increment", before))
    rose, finished = False, False
    if not (np.isfinite(after) and np.isfinite(u).all() and np.isfinite(v).all()):
        fault = find_fault_at_start(energy, at)
        if not fault:
            fault = (
                NO_MINIMUM if after == -np.inf else f"the solver diverged (energy {after}): {suggest_remedy(solver)}"
            )
    elif found.met:
        fault, finished = find_departure((u, v), at), True
    else:
        fault, finished = find_fault(energy, (u, v), at, before)
        rose = after - before > RISE * abs(before)
        finished = finished and after - before <= _ROUNDING * abs(before)
        if found.steps.size == steps:
            finished = finished and bool(found.steps[steps // 2] - after <= _FALL * max(abs(before), abs(after)))
    start = at.flow
    return Minimum(
        start=start,
        flow=start if fault or rose else (start[0] + u, start[1] + v),
        energies=lambda: (before, after),
        steps=found.steps,
        exhausted=_may_stop(minimiser) and not found.met and found.steps.size == steps,
        rose=suggest_remedy(solver) if rose and not fault else "",
        finished=finished and not fault,
        failure=f"stopped because {fault}" if fault else "",
        state=found.state,
        retrace=partial(_retrace, energy, minimiser, steps, given, state),
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
        u, v = run(_run_some_steps, energy, minimiser, np.asarray(count), at.plain())
    return np.asarray(u), np.asarray(v)


def iterate(energy: Energy, minimiser: Minimiser, steps: int, at: Linearisation) -> Found:
    """Run a minimiser of optimistix; `at` is plain."""
    found, before, after, energies, taken = run(_run_steps, energy, minimiser, steps, at)
    increment = jax.tree.map(np.asarray, found)
    return Found(increment, float(before), float(after), np.asarray(energies)[: int(taken)])


def suggest_remedy(solver: object) -> str:
    """Return what to do where a solver raised the energy."""
    if isinstance(solver, optax.GradientTransformation | optimistix.OptaxMinimiser):
        return "lower the learning rate of the optimiser of optax, or take LBFGS, which has none"
    if isinstance(solver, optimistix.GradientDescent):
        return "lower the learning rate of GradientDescent, or take LBFGS, which has none"
    return f"{ASK} If it has one, take another solver than {type(as_minimiser(solver)).__name__}"


def _run_steps(
    energy: Energy, solver: Minimiser, steps: int, at: Linearisation
) -> tuple[Increment, jax.Array, jax.Array, jax.Array, jax.Array]:
    at = at.evaluate_derivatives()  # once a warp, not once a step
    before = _evaluate(energy, _make_zero(energy, at), at)
    function, y, state = _set_up(energy, solver, at)
    dynamic, static = eqx.partition(state, eqx.is_array)
    advance = partial(_advance, solver, function, static)

    def step(carry: _Carry, _: None) -> tuple[_Carry, jax.Array]:
        y, dynamic, taken = carry
        y, dynamic, value = advance(y, dynamic)
        return (y, dynamic, taken + 1), value

    def step_unless_done(carry: _CarryUnlessDone, _: None) -> tuple[_CarryUnlessDone, jax.Array]:
        y, dynamic, taken, done = carry

        def active() -> tuple[_CarryUnlessDone, jax.Array]:
            new_y, new_dynamic, value = advance(y, dynamic)
            stop, result = solver.terminate(function, new_y, None, {}, eqx.combine(new_dynamic, static), frozenset())
            return (new_y, new_dynamic, taken + 1, stop | (result != optimistix.RESULTS.successful)), value

        carried: tuple[_CarryUnlessDone, jax.Array] = jax.lax.cond(done, lambda: (carry, before), active)
        return carried

    # A solver without tolerances is not asked after each step whether it is done; its norms would take as long as its
    # step.
    if _may_stop(solver):
        start = (y, dynamic, jnp.array(0), jnp.array(False))
        (y, _, taken, _), energies = jax.lax.scan(step_unless_done, start, length=steps)
    else:
        (y, _, taken), energies = jax.lax.scan(step, (y, dynamic, jnp.array(0)), length=steps)
    return y, before, _evaluate(energy, y, at), energies, taken


def _run_some_steps(energy: Energy, solver: Minimiser, count: jax.Array, at: Linearisation) -> Increment:
    """Return the increment after so many steps, which the solver has been found to take."""
    function, y, state = _set_up(energy, solver, at.evaluate_derivatives())
    dynamic, static = eqx.partition(state, eqx.is_array)

    def step(_: jax.Array, carry: tuple[Increment, object]) -> tuple[Increment, object]:
        return _advance(solver, function, static, *carry)[:2]

    reached: tuple[Increment, object] = jax.lax.fori_loop(0, count, step, (y, dynamic))
    return reached[0]


def _advance(
    solver: Minimiser, function: _Function, static: object, y: Increment, dynamic: object
) -> tuple[Increment, object, jax.Array]:
    """Take a step: return the increment, the arrays of the solver's state, and the energy."""
    y, state, value = solver.step(function, y, None, {}, eqx.combine(dynamic, static), frozenset())
    return y, eqx.filter(state, eqx.is_array), value


def _set_up(energy: Energy, solver: Minimiser, at: Linearisation) -> tuple[_Function, Increment, object]:
    """Return the function as optimistix wants it, the start, and the solver's first state."""

    def function(y: Increment, args: object) -> tuple[Any, jax.Array]:
        value = _evaluate(energy, y, at)
        if isinstance(solver, optimistix.AbstractLeastSquaresSolver):
            return least_squares.find_squares(energy, y, at), value
        return value, value  # also as the auxiliary output, through which every solver returns the energy

    y = _make_zero(energy, at)
    out, aux = jax.eval_shape(lambda: function(y, None))
    return function, y, solver.init(function, y, None, {}, out, aux, frozenset())


def _make_first_state(energy: Energy, solver: Minimiser, at: Linearisation) -> object:
    return eqx.filter(_set_up(energy, solver, at)[2], eqx.is_array)


def _evaluate(energy: Energy, d: Increment, at: Linearisation) -> jax.Array:
    return jnp.asarray(energy(d, at), jnp.float32)


def _make_zero(energy: Energy, at: Linearisation) -> Any:
    """Return the zero increment: planes or, where an energy is one of values, those."""
    return jax.tree.map(jnp.zeros_like, energy.values if isinstance(energy, EnergyOfValues) else at.planes)


def _is_iterative(solver: Minimiser) -> bool:
    """Return whether a solver of least squares solves its linear systems to a tolerance, without a matrix."""
    return hasattr(getattr(getattr(solver, "descent", None), "linear_solver", None), "rtol")


def _may_stop(solver: object) -> bool:
    return bool(getattr(solver, "rtol", 0.0) or getattr(solver, "atol", 0.0))
