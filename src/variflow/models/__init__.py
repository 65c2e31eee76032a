"""Models by name. Each is an energy, a solver and a schedule, in a few lines.

The constants of an energy live in its terms; ``models.horn_schunck(smoothness=...)`` returns a `Model`, and
``dataclasses.replace(model, warps=10)`` changes its schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from variflow.base.choices import refuse_names, suggest
from variflow.base.kinds import name_kind
from variflow.energy import Energy
from variflow.model import Model
from variflow.models.presets import accurate, balanced, fast, realtime, smooth
from variflow.models.published import brox, classic_nl, horn_schunck, huber_l1, lucas_kanade, tgv_l1, tv_l1

__all__ = [
    "Model",
    "accurate",
    "balanced",
    "brox",
    "builder",
    "classic_nl",
    "fast",
    "get",
    "horn_schunck",
    "huber_l1",
    "lucas_kanade",
    "names",
    "realtime",
    "smooth",
    "tgv_l1",
    "tv_l1",
]

if not TYPE_CHECKING:  # a type checker would take any name for an attribute
    __getattr__ = refuse_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)


# Every name that `estimate` knows: models and presets.
_MODELS: dict[str, Callable[[], Model]] = {
    "horn-schunck": horn_schunck,
    "brox": brox,
    "lucas-kanade": lucas_kanade,
    "tv-l1": tv_l1,
    "huber-l1": huber_l1,
    "tgv-l1": tgv_l1,
    "classic-nl": classic_nl,
    "realtime": realtime,
    "fast": fast,
    "balanced": balanced,
    "accurate": accurate,
    "smooth": smooth,
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
    >>> models.builder("brocks")
    Traceback (most recent call last):
        ...
    ValueError: model is 'brocks', wanted one of 'horn-schunck', 'brox', ...; did you mean 'brox'?
    """
    if name in _MODELS:
        return _MODELS[name]
    raise ValueError(f"model is {name!r}, wanted one of {', '.join(map(repr, _MODELS))}{suggest(name, _MODELS)}")


def get(model: str | Model | Energy) -> Model:
    """Return a model by its name, a model as it is, or an energy as a model with the default solver and schedule.

    Raises
    ------
    ValueError
        If no model has the name.
    TypeError
        If it is neither a name, nor a model, nor an energy.

    Examples
    --------
    >>> from variflow import models
    >>> models.get("balanced").channels
    'gray'
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        return _build(builder(model))
    function = getattr(model, "__name__", "")
    if id(model) in map(id, _MODELS.values()):
        raise TypeError(f"model is the function {function}, wanted what it returns: models.{function}()")
    if callable(model) and not isinstance(model, type):
        return Model(model, name=function or type(model).__name__)
    raise TypeError(f"model is {name_kind(model)}, wanted a name, a Model or a function energy(d, at) -> scalar")


@lru_cache(maxsize=len(_MODELS))
def _build(make: Callable[[], Model]) -> Model:
    """Return a named model. It is built once, because that takes a tenth of the time of `realtime`."""
    return make()
