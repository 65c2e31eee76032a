"""Run a minimiser of optimistix or optax.

All steps of one warp are one compiled program: a scan over the minimiser's own step, which also yields the energy of
every step. The program is compiled once for each combination of energy, solver, number of steps and frame size (see
`variflow.energy.autodiff.programs`). Its inputs are the numbers inside an energy (weights and constants of terms) and
inside ``at``.
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

from variflow.base.kinds import name_kind
from variflow.energy.autodiff.programs import run
from variflow.energy.term import Energy, Increment
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import least_squares
from variflow.solve.descent import Found
from variflow.solve.minimum import may_stop
from variflow.solve.of_values import make_zero

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

_SOLVERS = (
    "a minimiser of optimistix (LBFGS, NonlinearCG, GradientDescent, OptaxMinimiser, ...), an optimiser of optax "
    "(sgd(...), adam(...), ...), or a solver of variflow.solve (relaxation.Relaxation, local_system.LocalSystem, "
    "primal_dual.PrimalDual, lucas_kanade.LucasKanade, newton.TruncatedNewton)"
)
_WANTED = f"wanted {_SOLVERS}"
_FOR_OTHER_PROBLEMS = optimistix.AbstractRootFinder, optimistix.AbstractFixedPointSolver


def as_minimiser(solver: object) -> Minimiser:
    """Return a solver as a minimiser of optimistix.

    An optimiser of optax becomes one that runs for a fixed number of steps.
    """
    if isinstance(solver, optimistix.NelderMead):
        raise TypeError(f"solver is a NelderMead, which keeps a point more than there are unknowns: {_WANTED}")
    if isinstance(solver, optimistix.AbstractMinimiser | optimistix.AbstractLeastSquaresSolver):
        return solver
    if isinstance(solver, optax.GradientTransformation):
        # Optimistix looks into the closures of functions, and fails at an empty one, as in the schedules of optax.
        whole = optax.GradientTransformationExtraArgs(partial(solver.init), partial(solver.update))
        return optimistix.OptaxMinimiser(whole, rtol=0.0, atol=0.0)
    if isinstance(solver, _FOR_OTHER_PROBLEMS):
        raise TypeError(
            f"solver is {name_kind(solver)}, which solves for roots or fixed points, not for the minimum of an energy: "
            f"{_WANTED}"
        )
    if isinstance(solver, type):
        raise TypeError(f"solver is the class {solver.__name__}, wanted one of its objects: {solver.__name__}(...)")
    name = getattr(solver, "__name__", "")
    if name:
        raise TypeError(f"solver is the function {name}, wanted what an optimiser's function returns, or {_SOLVERS}")
    raise TypeError(f"solver is {name_kind(solver)}, {_WANTED}")


def measure_state(energy: Energy, solver: Minimiser, at: Linearisation) -> int:
    """Return how many bytes a solver keeps between its steps."""
    state = eqx.filter_eval_shape(_make_first_state, energy, solver, at)
    size: int = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    if isinstance(solver, optimistix.AbstractLeastSquaresSolver) and not _is_iterative(solver):
        size += least_squares.measure_jacobian(energy, make_zero(energy, at), at)
    return size


def iterate(energy: Energy, minimiser: Minimiser, steps: int, at: Linearisation) -> Found:
    """Run a minimiser of optimistix; `at` is plain."""
    found, before, after, energies, taken = run(_run_steps, energy, minimiser, steps, at)
    increment = jax.tree.map(np.asarray, found)
    return Found(increment, float(before), float(after), np.asarray(energies)[: int(taken)])


def iterate_again(energy: Energy, minimiser: Minimiser, count: int, at: Linearisation) -> Increment:
    """Return the increment after so many of the steps that were taken."""
    found: Increment = run(_run_some_steps, energy, minimiser, np.asarray(count), at)
    return found


def suggest_remedy(solver: object) -> str:
    """Return what to do where a solver raised the energy, if it can be told."""
    if isinstance(solver, optax.GradientTransformation | optimistix.OptaxMinimiser):
        return "lower the learning rate of the optimiser of optax, or take LBFGS, which has none"
    if isinstance(solver, optimistix.GradientDescent):
        return "lower the learning rate of GradientDescent, or take LBFGS, which has none"
    return ""


def _run_steps(
    energy: Energy, solver: Minimiser, steps: int, at: Linearisation
) -> tuple[Increment, jax.Array, jax.Array, jax.Array, jax.Array]:
    at = at.evaluate_derivatives()  # once a warp, not once a step
    before = _evaluate(energy, make_zero(energy, at), at)
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
    if may_stop(solver):
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

    y = make_zero(energy, at)
    out, aux = jax.eval_shape(lambda: function(y, None))
    return function, y, solver.init(function, y, None, {}, out, aux, frozenset())


def _make_first_state(energy: Energy, solver: Minimiser, at: Linearisation) -> object:
    return eqx.filter(_set_up(energy, solver, at)[2], eqx.is_array)


def _evaluate(energy: Energy, d: Increment, at: Linearisation) -> jax.Array:
    return jnp.asarray(energy(d, at), jnp.float32)


def _is_iterative(solver: Minimiser) -> bool:
    """Return whether a solver of least squares solves its linear systems to a tolerance, without a matrix."""
    linear_solver: Any = getattr(getattr(solver, "descent", None), "linear_solver", None)
    while hasattr(linear_solver, "inner_solver"):  # such as lineax' Normal, which wraps another one
        linear_solver = linear_solver.inner_solver
    return hasattr(linear_solver, "rtol")
