"""Say why an object lacks a field that its class declares."""

from __future__ import annotations

from typing import TYPE_CHECKING


class Declared:
    """Base of classes from which a person derives some that may have an ``__init__`` of their own."""

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> object:
            kind = type(self)
            declared = [one.name for one in getattr(kind, "__dataclass_fields__", {}).values() if one.init]
            if name not in declared:
                return super().__getattribute__(name)  # raises what it has raised before
            raise AttributeError(
                f"{kind.__name__} has no {name}, because its __init__ does not call super().__init__(...), which sets "
                f"{', '.join(declared)}: call it there, or make {kind.__name__} a dataclass without an __init__"
            )
