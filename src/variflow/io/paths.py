"""Check the paths that a caller passes."""

from __future__ import annotations

import os

from variflow.base.kinds import name_kind


def check_path(path: object, name: str = "path", what: str = "the name of a file", **beside: object) -> None:
    """Raise TypeError, naming the argument, if something is no path.

    Parameters
    ----------
    path
        What came.
    name : str
        Its name in messages.
    what : str
        What is wanted.
    **beside
        The argument that comes next, by its name: it is a path if both are swapped.

    Examples
    --------
    >>> from variflow.io.paths import check_path
    >>> check_path(3, flow="a.flo")
    Traceback (most recent call last):
        ...
    TypeError: path is an int, wanted the name of a file; flow is one, so swap both
    """
    if _is_path(path):
        return
    shape = getattr(path, "shape", None)
    given = name_kind(path) if shape is None else f"an array of shape {tuple(shape)}"
    hint = "".join(f"; {other} is one, so swap both" for other, value in beside.items() if _is_path(value))
    raise TypeError(f"{name} is {given}, wanted {what}{hint}")


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)
