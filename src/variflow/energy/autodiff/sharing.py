"""Keep XLA from computing a value anew for each of its readers.

XLA joins operations to loops over pixels, and computes in each loop what it reads. That is fast where a value has one
reader. In a sum over a window it has many, and derivatives of such sums have windows of windows: all that comes before
would be computed millions of times. Barriers make XLA store these values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# XLA drops barriers before it joins operations, unless it is told to skip this step.
KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}

# What takes values of other pixels case by case: loops take long for what is computed within them.
_CASES = {
    "concatenate",
    "dynamic_slice",
    "dynamic_update_slice",
    "gather",
    "pad",
    "rev",
    "scatter",
    "scatter-add",
    "split",
}
# What hands values on as they are, and what is a function of its own.
_SAME = {"broadcast_in_dim", "convert_element_type", "copy", "reshape", "slice", "squeeze", "transpose"}
_FUNCTIONS = {"checkpoint", "closed_call", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat2"}
# A value is stored if its further readers would do at least so many operations again, or one reader within cases some.
_MANY, _SOME = 4, 2
# Programs without windows are faster if XLA chooses what to store: those whose values take no more than so many times
# as many operations as there are.
_USUAL = 100


@dataclass
class _Value:
    """An array of a program, and how many operations it takes to compute it from what is stored."""

    array: Any
    work: int = 0

    def store(self) -> None:
        if np.ndim(self.array) > 0:
            self.array = jax.lax.optimization_barrier(self.array)  # type: ignore[no-untyped-call]
        self.work = 0


def repeats(closed: ClosedJaxpr) -> bool:
    """Return whether some value of a program would be computed by many times as many operations as there are."""
    work: list[float] = []
    _measure_work(closed, [0.0] * len(closed.jaxpr.invars), work)
    return max(work, default=0.0) > _USUAL * len(work)


def _measure_work(closed: ClosedJaxpr, inputs: list[float], work: list[float]) -> list[float]:
    """Return how many operations each result takes where none is stored, and add that of each operation to `work`."""
    jaxpr = closed.jaxpr
    values = dict.fromkeys(jaxpr.constvars, 0.0) | dict(zip(jaxpr.invars, inputs, strict=True))

    def read(variable: Any) -> float:
        return 0.0 if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        given, name = list(map(read, equation.invars)), equation.primitive.name
        if inner := _find_function(name, equation.params):
            results = _measure_work(inner, given, work)
        else:
            work.append(sum(given) + (name not in _SAME))
            results = [work[-1] if getattr(variable.aval, "shape", ()) else 0.0 for variable in equation.outvars]
        values |= dict(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def share_values(closed: ClosedJaxpr, *inputs: Any) -> list[Any]:
    """Return the results of a program, with barriers behind what their readers would compute again."""
    return [value.array for value in _evaluate(closed, list(map(_Value, inputs)))]


def _evaluate(closed: ClosedJaxpr, inputs: list[_Value]) -> list[_Value]:
    jaxpr = closed.jaxpr
    values = dict(zip(jaxpr.invars, inputs, strict=True))
    values |= {variable: _Value(array) for variable, array in zip(jaxpr.constvars, closed.consts, strict=True)}

    def read(variable: Any) -> _Value:
        return _Value(variable.val) if isinstance(variable, Literal) else values[variable]

    readers = Counter(id(variable) for equation in jaxpr.eqns for variable in equation.invars)

    def store_if_shared(variable: Any, value: _Value) -> None:
        if (readers[id(variable)] - 1) * value.work >= _MANY:
            value.store()

    for variable, value in values.items():
        store_if_shared(variable, value)
    for equation in jaxpr.eqns:
        given, name = [read(variable) for variable in equation.invars], equation.primitive.name
        for value in given:
            if name in _CASES and value.work >= _SOME:
                value.store()
        inner = _find_function(name, equation.params)
        results = _evaluate(inner, given) if inner else _apply(jaxpr, equation, given)
        for variable, result in zip(equation.outvars, results, strict=True):
            values[variable] = result
            store_if_shared(variable, result)
    return [read(variable) for variable in jaxpr.outvars]


def _find_function(name: str, parameters: dict[str, Any]) -> ClosedJaxpr | None:
    """Return the program of an operation that is a function of its own, if it is one."""
    inner = parameters.get("jaxpr", parameters.get("call_jaxpr")) if name in _FUNCTIONS else None
    return ClosedJaxpr(inner, ()) if isinstance(inner, Jaxpr) else inner


def _apply(jaxpr: Jaxpr, equation: Any, given: list[_Value]) -> list[_Value]:
    """Return the results of one equation of a program."""
    pairs = zip(equation.invars, given, strict=True)
    known = {variable: value.array for variable, value in pairs if not isinstance(variable, Literal)}
    alone: Jaxpr = jaxpr.replace(constvars=[], invars=list(known), outvars=equation.outvars, eqns=[equation])  # type: ignore[no-untyped-call]
    name = equation.primitive.name
    work = 0 if name in _CASES else sum(value.work for value in given) + (name not in _SAME)
    return [_Value(array, work if np.ndim(array) else 0) for array in jax.core.eval_jaxpr(alone, (), *known.values())]
