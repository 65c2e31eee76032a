"""Minimise any energy by Newton's method: the general minimiser unless a model names another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax._src.core import jaxprs_in_params

from variflow.base.choices import check_number, keep
from variflow.base.fields import Declared
from variflow.energy.autodiff.coupling import find_coupling, take_parts
from variflow.energy.autodiff.coupling import list_calls as coupling_calls
from variflow.energy.autodiff.curvature import make_function
from variflow.energy.autodiff.noise import remember
from variflow.energy.autodiff.programs import Call, apply_settings
from variflow.energy.term import Energy
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import newton_by_matrix, newton_by_products
from variflow.solve.descent import Found

__all__ = ["TruncatedNewton"]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class TruncatedNewton(Declared):
    """Newton's method whose linear systems are solved roughly, for any energy that can be differentiated twice.

    Where the energy couples only pixels near each other, its Hessian is read from a few products with coloured
    patterns, and the core solves with it. A step that does not lower the energy is taken anew with a damped Hessian.
    Else each step is that of conjugate gradients, preconditioned on all scales; JAX multiplies by the Hessian, and a
    step that does not lower the energy is shortened.

    Where an elementary function is concave, as robust penalties are, its part of the second derivative is left out;
    what remains is iterative re-weighting. Nothing depends on the unit of the energy.

    It stops with a step that promises to lower the energy by little beside the first step of the level, and, where JAX
    multiplies, beside the energy itself. Otherwise it takes the `steps` of the model.

    Parameters
    ----------
    rtol : float
        A step promises little if it is at most the square of this, beside the first; typically 0.01 to 0.3. Smaller is
        slower, and more accurate if a level has only one warp or two.

    References
    ----------
    S. G. Nash, A survey of truncated-Newton methods, 2000; A. R. Curtis, M. J. D. Powell and J. K. Reid, On the
    estimation of sparse Jacobian matrices, 1974; D. W. Marquardt, An algorithm for least-squares estimation of
    nonlinear parameters, 1963; J. H. Bramble, J. E. Pasciak and J. Xu, Parallel multilevel
    preconditioners, 1990.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Lorentzian, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.newton import TruncatedNewton
    >>> energy = BrightnessConstancy(Lorentzian(scale=0.03)) + 5.0 * Smoothness()
    >>> model = Model(energy, solver=TruncatedNewton(rtol=0.01), warps=2)
    """

    rtol: float = 0.3

    def __post_init__(self) -> None:
        keep(self, rtol=check_number("rtol", self.rtol, above=0, below=1))


def minimise(
    energy: Energy,
    solver: TruncatedNewton,
    steps: int,
    at: LevelLinearisation,
    state: Any = None,
    until: int | None = None,
) -> Found:
    """Minimise an energy from the zero increment; `state` is that of the level's previous warp.

    With `until`, it ends after so many of the steps.
    """
    coupling = find_coupling(energy, at)
    if coupling is None:
        return newton_by_products.minimise(energy, solver.rtol, steps, at.plain(), state, until)
    limit = steps if until is None else until
    return newton_by_matrix.minimise(energy, coupling, solver.rtol, limit, at, state)


@apply_settings()
def list_calls(energy: Energy, solver: TruncatedNewton, steps: int, at: LevelLinearisation) -> list[Call]:
    """Return the calls of programs that a level takes."""
    coupling = find_coupling(energy, at)
    if coupling is None:
        return [newton_by_products.prepare_call(energy, solver.rtol, steps, at.plain())]
    return coupling_calls(energy, coupling, at)


def find_fault(energy: Energy, at: Linearisation) -> str:
    """Return what JAX says of an energy that cannot be differentiated twice, or an empty text; `at` is plain."""
    return remember(_find_fault, energy, at, "differentiated twice", at.level, at.scale, at.shape)


def _find_fault(energy: Energy, at: Linearisation) -> str:
    zero = jnp.zeros(at.valid.shape, jnp.float32)

    def multiply(d: tuple[Any, ...]) -> Any:
        return jax.jvp(jax.grad(make_function(energy, parts.assemble())), (d,), (d,))

    try:
        parts = take_parts(energy, at)
        traced = jax.make_jaxpr(multiply)((zero,) * len(at.planes))
    except Exception as fault:  # it has been differentiated once without one
        return (str(fault).strip().splitlines() or [type(fault).__name__])[0]
    # JAX traces the second derivative of a function with a gradient of its own, and fails when it compiles that.
    return "a function under jax.custom_vjp" if _holds(traced.jaxpr, "custom_lin") else ""


def _holds(traced: Any, name: str) -> bool:
    """Return whether an operation is among those of a traced function."""
    return any(
        equation.primitive.name == name or any(_holds(inner, name) for inner in jaxprs_in_params(equation.params))
        for equation in traced.eqns
    )
