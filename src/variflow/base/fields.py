"""Say why an object lacks a field that its class declares, and which fields there are."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Self

from variflow.base.choices import explain_keyword


class Declared:
    """Base of dataclasses that a person makes, or derives classes from that may have an ``__init__`` of their own."""

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute, and any keyword

        def __new__(cls, *_: object, **given: object) -> Self:
            """Return an object without its fields; raise TypeError if a keyword is unknown."""
            if not given.keys() <= getattr(cls, "__dataclass_fields__", {}).keys():
                _check_keywords(cls, given)
            return super().__new__(cls)

        def __getattr__(self, name: str) -> object:
            kind = type(self)
            declared = [one.name for one in getattr(kind, "__dataclass_fields__", {}).values() if one.init]
            if name not in declared:
                return super().__getattribute__(name)  # raises what it has raised before
            raise AttributeError(
                f"{kind.__name__} has no {name}, because its __init__ does not call super().__init__(...), which sets "
                f"{', '.join(declared)}: call it there, or make {kind.__name__} a dataclass without an __init__"
            )


def _check_keywords(kind: type, given: dict[str, object]) -> None:
    """Raise TypeError if the ``__init__`` of a class does not know a keyword."""
    _, *parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    known = [parameter.name for parameter in parameters]
    unknown = [name for name in given if name not in known]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise TypeError(explain_keyword(kind.__name__, unknown[0], known))
