"""Dataclasses with arrays that print on one line: an array by its type and shape, not its numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby

# The longest line that a value may take.
_WIDTH = 100


class Brief:
    """Base of dataclasses with arrays, which are shown by type and shape; a field that is None is left out.

    Such a dataclass is compared by identity (``eq=False``), because comparing arrays gives no single truth value.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from variflow.base.brief import Brief
    >>> @dataclass(repr=False, eq=False)
    ... class Planes(Brief):
    ...     name: str
    ...     planes: np.ndarray
    >>> Planes("frames", np.zeros((3, 20, 30), np.float32))
    Planes(name='frames', planes=float32 (3, 20, 30))
    """

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}  # type: ignore[arg-type]
        shown = ", ".join(f"{name}={_show(value)}" for name, value in values.items() if value is not None)
        return f"{type(self).__name__}({shown})"


def shorten(text: str, width: int = _WIDTH) -> str:
    """Return a text in one line of at most so many characters."""
    return textwrap.shorten(text, width, placeholder="...")


def name_runs(numbers: Iterable[int]) -> str:
    """Return rising whole numbers in words, three or more that follow one another as a run.

    Examples
    --------
    >>> name_runs([1, 2, 4, 5, 6, 9])
    '1, 2, 4 to 6, 9'
    """
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _show(value: object) -> str:
    if (shape := getattr(value, "shape", ())) and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(shape)}"
    if isinstance(value, tuple | list) and len(value) <= 4:
        return f"({', '.join(map(_show, value))})"
    return shorten(repr(value))
