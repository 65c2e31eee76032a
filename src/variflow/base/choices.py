"""Check settings when they are set: numbers within bounds, and choices among a few values."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import operator
import re
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import ParamSpec, TypeGuard, TypeVar

import numpy as np

from variflow.base.kinds import is_number

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Choice = TypeVar("Choice")


def keep(settings: object, **fields: object) -> None:
    """Set fields of a frozen dataclass to checked values, which are Python numbers as the core needs them."""
    for name, value in fields.items():
        object.__setattr__(settings, name, value)


def check_choice(name: str, value: object, choices: Collection[Choice]) -> Choice:
    """Return the choice that equals a value; raise ValueError, naming the setting, if none does."""
    if isinstance(value, str | Integral) and not isinstance(value, bool):
        for choice in choices:
            if value == choice:
                return choice
    raise ValueError(f"{name} is {value!r}, wanted one of {', '.join(map(repr, choices))}")


def check_number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    infinite: bool = False,
    what: str = "a number",
) -> float:
    """Return a real number within bounds, as a float.

    Parameters
    ----------
    name : str
        Its name in messages, such as "smoothness of brox".
    value
        The value to check.
    least, above, most, below : float
        The bounds; `least` and `most` are included, `above` and `below` are not.
    infinite : bool
        Whether it may be infinite.
    what : str
        What is wanted, without the bounds.

    Raises
    ------
    ValueError
        If the value is anything else.

    Examples
    --------
    >>> from variflow.base.choices import check_number
    >>> check_number("smoothness of brox", -1, above=0)
    Traceback (most recent call last):
        ...
    ValueError: smoothness of brox is -1, wanted a number above 0
    """
    if _is_real(value):
        number = float(value)
        if (above < number < below and least <= number <= most) or (infinite and number == math.inf):
            return number
    raise ValueError(f"{name} is {_show(value)}, wanted {what}{_say_bounds(least, above, most, below)}")


def check_whole(
    name: str, value: object, least: int, most: float = math.inf, what: str = "a whole number", otherwise: str = ""
) -> int:
    """Return a whole number from `least` to `most` as an int; raise ValueError, naming it, for anything else."""
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= operator.index(value) <= most:
        return operator.index(value)
    raise ValueError(
        f"{name} is {_show(value)}, wanted {what}{_say_bounds(least, -math.inf, most, math.inf)}{otherwise}"
    )


def check_window(name: str, value: object, most: float = math.inf) -> int:
    """Return the side of a window, odd from 3 to `most` pixels; raise ValueError, naming it, for anything else."""
    odd = "an odd number of pixels"
    side = check_whole(name, value, 3, most, odd)
    if side % 2 == 0:
        raise ValueError(f"{name} is {side}, wanted {odd}{_say_bounds(3, -math.inf, most, math.inf)}")
    return side


def check_pair(name: str, value: object, what: str, above: float = -math.inf) -> tuple[float, float]:
    """Return two finite numbers as floats; raise ValueError, naming them, for anything else."""
    try:
        pair: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        pair = ()
    if len(pair) != 2:
        raise ValueError(f"{name} is {_show(value)}, wanted {what}")
    first, second = (check_number(name, number, above=above, what="a finite number") for number in pair)
    return first, second


def check_shape(shape: object) -> tuple[int, int]:
    """Return the height and the width of a frame; raise ValueError for anything else.

    Examples
    --------
    >>> from variflow.base.choices import check_shape
    >>> check_shape((480, 640, 2))
    Traceback (most recent call last):
        ...
    ValueError: shape is (480, 640, 2), wanted a height and a width of at least 1, (H, W)
    """
    try:
        height, width = map(operator.index, shape)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(f"shape is {_show(shape)}, wanted a height and a width of at least 1, (H, W)")
    return height, width


def check_flag(name: str, value: object) -> bool:
    """Return True or False; raise TypeError, naming it, for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {_show(value)}, wanted True or False")
    return bool(value)


def check_constant(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> None:
    """Raise ValueError, naming it, if a constant of an energy is out of bounds.

    A constant is a number or an array. What JAX traces or differentiates has no value yet, and passes.
    """
    if hasattr(value, "__array_namespace__"):
        try:
            array = np.asarray(value)
        except TypeError:  # it is being traced
            return
        if is_number(array.dtype) and ((array > above) & (array >= least) & (array <= most) & (array < math.inf)).all():
            return
        raise ValueError(f"{name} is {_show(value)}, wanted finite numbers{_say_bounds(least, above, most, math.inf)}")
    check_number(name, value, least=least, above=above, most=most)


def _is_real(value: object) -> TypeGuard[Real]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _show(value: object) -> str:
    """Return a value as a message shows it, on one line."""
    text = f"the class {value.__name__}" if isinstance(value, type) else " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _say_bounds(least: float, above: float, most: float, below: float) -> str:
    if most < math.inf:
        return f" from {least:g} to {most:g}" if least > -math.inf else f" above {above:g} and up to {most:g}"
    low = f" above {above:g}" if above > -math.inf else f" of at least {least:g}" if least > -math.inf else ""
    return f"{low} and below {below:g}" if below < math.inf else low


def suggest(name: str, names: Collection[str]) -> str:
    """Return ``"; did you mean 'tv-l1'?"`` for "TVL1" and other names close to a known one, else ""."""
    plain = {re.sub(r"[\W_]+", "", known).lower(): known for known in names}
    close = difflib.get_close_matches(re.sub(r"[\W_]+", "", name).lower(), plain, n=1)
    return f"; did you mean {plain[close[0]]!r}?" if close else ""


def explain_keyword(function: str, unknown: str, known: Collection[str]) -> str:
    """Return what to say of a keyword that a function, or a class, does not know."""
    return f"{function}() has no argument {unknown!r}, wanted one of {', '.join(known)}{suggest(unknown, known)}"


def refuse_names(module: str, known: Collection[str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a module that refuses every name, and suggests one that the module has."""

    def refuse(name: str) -> object:
        raise AttributeError(f"module {module!r} has no attribute {name!r}{suggest(name, known)}")

    return refuse


def explain_keywords(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Decorate a function, so that an unknown keyword is explained."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        for name in kwargs:
            if name not in known:
                raise TypeError(explain_keyword(function.__name__, name, known))
        return function(*args, **kwargs)

    return call


def check_takes(count: int, name: str, function: Callable[..., object], wanted: str) -> None:
    """Raise TypeError, naming it, if a function cannot be called with so many arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function that is not written in Python
        return
    try:
        signature.bind(*count * (None,))
    except TypeError:
        raise TypeError(f"{name} takes {signature}, wanted {wanted}") from None
