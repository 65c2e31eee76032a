"""Explain wrong calls: a setting of a model that is given to a function, and frames that JAX is tracing."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import ParamSpec, TypeVar

from variflow.base.choices import explain_keyword
from variflow.energy.autodiff.fingerprint import read_cell

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

# At most this many items of a container are searched.
_MOST = 64


def explain_calls(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Decorate a public function, so that an unknown keyword, or a call that JAX traces, is explained."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        unknown = [name for name in kwargs if name not in signature.parameters]
        if unknown:
            known = signature.bind_partial(*args, **{name: kwargs[name] for name in kwargs if name not in unknown})
            model = known.arguments.get("model", "balanced")
            raise TypeError(_explain_keyword(function.__name__, unknown[0], kwargs[unknown[0]], signature, model))
        refuse_traced(function.__name__, (*args, *kwargs.values()))
        return function(*args, **kwargs)

    return call


def refuse_traced(name: str, values: Iterable[object]) -> None:
    """Raise TypeError if a function that runs outside JAX is given a value that JAX is tracing."""
    if "jax" in sys.modules and any(map(_is_traced, values)):
        raise TypeError(
            f"{name} cannot be traced by JAX (jit, grad, vmap): it runs outside, so it wants concrete arrays and "
            "numbers; an energy itself, and variflow.warp, can be traced"
        )


def _is_traced(value: object, seen: frozenset[int] = frozenset()) -> bool:
    """Return whether JAX is tracing a value or something that it holds: a field, an item, a value in a closure."""
    if isinstance(value, sys.modules["jax"].core.Tracer):
        return True
    parts: Iterable[object] = ()
    if is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, tuple | list):
        parts = value[:_MOST]
    elif isinstance(value, functools.partial):
        parts = (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, dict):
        parts = islice(value.values(), _MOST)
    elif inspect.isfunction(value):
        cells = value.__closure__ or ()
        parts = (*(value.__defaults__ or ()), *(held for cell in cells for held in read_cell(cell)))
    elif inspect.ismethod(value):
        parts = (value.__self__,)
    elif callable(value) and not isinstance(value, type):
        parts = islice(getattr(value, "__dict__", {}).values(), _MOST)
    return id(value) not in seen and any(_is_traced(part, seen | {id(value)}) for part in parts)


def _explain_keyword(function: str, unknown: str, value: object, signature: inspect.Signature, model: object) -> str:
    """Return what to write in place of a keyword that a function does not know."""
    from variflow import models

    problem = f"{function}() has no argument {unknown!r}"
    setting = f"{unknown}={value!r}" if isinstance(value, str | int | float) else f"{unknown}=..."
    if "model" in signature.parameters:
        name = model if isinstance(model, str) else getattr(model, "name", "")
        if name in models.names() and unknown in _list_settings(name):
            return f"{problem}: it is a setting of the model, so pass {_write_call(name, setting)}"
        if unknown in {field.name for field in fields(models.Model)}:
            base = f"models.get({model!r})" if isinstance(model, str) else "model"
            made = (
                f"variflow.Model(energy, {setting})" if callable(model) else f"dataclasses.replace({base}, {setting})"
            )
            return f"{problem}: it is a field of the model, so pass {made}"
        having = [_write_call(other, setting) for other in models.names() if unknown in _list_settings(other)]
        if having:
            return f"{problem}: it is a setting of some models, such as {having[0]}"
    return explain_keyword(function, unknown, signature.parameters)


def _list_settings(name: str) -> Iterable[str]:
    from variflow import models

    return inspect.signature(models.builder(name)).parameters


def _write_call(name: str, setting: str) -> str:
    return f"models.{name.replace('-', '_')}({setting})"
