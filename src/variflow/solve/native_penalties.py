"""Penalties as the core wants them: those that it knows by their constants, any other as a table of its values.

Any penalty is minimised by least squares, reweighted at each warp. Of a penalty that the core does not know, it is
given the values and the weights at many squared residuals, and takes them as straight in between.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.kinds import is_like_array
from variflow.base.types import Array
from variflow.energy.advice import ASKS
from variflow.energy.autodiff.fingerprint import find_or_make_by_fingerprint
from variflow.energy.penalties import (
    L1,
    Charbonnier,
    GeneralisedCharbonnier,
    Huber,
    Lorentzian,
    Penalty,
    Quadratic,
    defines_weight,
)
from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import inherits
from variflow.images.resampling import Planes

_KIND = _core.PenaltyKind

QUADRATIC = _core.Penalty(_KIND.QUADRATIC)

# Each penalty that the core knows, as the core wants it.
_NATIVE: dict[type[Penalty], Callable[[Any], _core.Penalty]] = {
    Quadratic: lambda penalty: QUADRATIC,
    Charbonnier: lambda penalty: _core.Penalty(_KIND.CHARBONNIER, float(penalty.epsilon)),
    GeneralisedCharbonnier: lambda penalty: _core.Penalty(
        _KIND.GENERALISED_CHARBONNIER, float(penalty.epsilon), float(penalty.exponent)
    ),
    Huber: lambda penalty: _core.Penalty(_KIND.HUBER, float(penalty.threshold)),
    Lorentzian: lambda penalty: _core.Penalty(_KIND.LORENTZIAN, float(penalty.scale)),
    L1: lambda penalty: _core.Penalty(_KIND.L1, float(penalty.smallest)),
}

# A weight that is negative by less than this part of the highest is 0, and was rounded: single precision.
_ROUNDING = 1e-5

# The tables made last, each by the fingerprint of its penalty, which changes with all that the penalty computes with.
_MOST_TABLES = 16
_tables: dict[Hashable, _core.Penalty] = {}


def native_penalty(penalty: Penalty) -> _core.Penalty:
    """Return a penalty as the core wants it.

    Raises
    ------
    NotTakenApart
        If a penalty that the core does not know has no weights for least squares, or constants that are planes.
    ValueError
        If such a penalty has no slope anywhere.
    """
    given: Any = type(penalty)
    kind = _find_known(given)
    _check_constants(penalty)
    if kind is not None:
        return _NATIVE[kind](penalty)
    return find_or_make_by_fingerprint(_tables, _MOST_TABLES, penalty, lambda: _tabulate(penalty))


def release() -> None:
    """Forget every table."""
    _tables.clear()


@lru_cache(maxsize=256)
def _find_known(given: Any) -> type[Penalty] | None:
    """Return which of the penalties that the core knows a class is, if it is one."""
    kind: Any = next((kind for kind in given.__mro__ if kind in _NATIVE), None)
    return kind if kind is not None and inherits(given, kind, ("of_squared", "weight_of_squared")) else None


def _tabulate(penalty: Penalty) -> _core.Penalty:
    """Return a table of the values of a penalty and half its weights, at the knots of the core."""
    knots = _core.penalty_knots().astype(np.float64)
    with np.errstate(all="ignore"):  # what is not finite is looked for below
        squared = np.concatenate([[0.0], knots])  # pixels that are left out have residuals of 0
        values = _evaluate(penalty, squared)
        weights = penalty.weight_of_squared(knots) if defines_weight(type(penalty)) else _derive(penalty, knots)
        half_weights = np.float32(0.5) * _spread(weights, knots)
    least = -_ROUNDING * half_weights.max(initial=0, where=np.isfinite(half_weights))
    wrong = ~((half_weights >= least) & (half_weights < np.inf))
    if wrong.any():
        raise NotTakenApart(
            f"weights rho'(s) / s of the penalty {penalty!r} are negative or not finite, first at s = "
            f"{np.sqrt(knots[wrong][0]):.3g}, wanted one that never falls as the residual grows; where of_squared(s^2) "
            "has no derivative, define weight_of_squared(s^2)"
        )
    if not half_weights.any():
        raise ValueError(
            f"the penalty {penalty!r} has no slope at any residual from 0 to 1000, so its term would move nothing: "
            "does it round?"
        )
    if not np.isfinite(values).all():
        raise NotTakenApart(
            f"values rho(s) of the penalty {penalty!r} are not finite, first at s = "
            f"{np.sqrt(squared[~np.isfinite(values)][0]):.3g}, wanted finite ones for all residuals up to 1000"
        )
    return _core.tabulate_penalty(values[1:], np.maximum(half_weights, 0))


def _evaluate(penalty: Penalty, knots: NDArray[np.float64]) -> Planes:
    """Return rho(s) at s^2; raise ValueError if a penalty does not give one value for each."""
    try:
        values = np.asarray(penalty.of_squared(knots), np.float32)
    except ValueError as fault:
        if "truth value" not in str(fault):
            raise
        raise ValueError(f"of_squared of the penalty {penalty!r} {ASKS}") from fault
    if values.shape != knots.shape:
        raise ValueError(
            f"of_squared of the penalty {penalty!r} returned an array of shape {values.shape} for one of shape "
            f"{knots.shape}, wanted a value for each, not their sum"
        )
    return values


def _derive(penalty: Penalty, knots: NDArray[np.float64]) -> Array:
    from variflow.energy.autodiff.weights import compiled_weights

    return compiled_weights(penalty, knots)


def _check_constants(penalty: Penalty) -> None:
    for name, constant in vars(penalty).items():
        if isinstance(constant, float):  # as nearly all are
            continue
        if (isinstance(constant, list | tuple) or is_like_array(constant)) and np.ndim(constant) > 0:
            raise NotTakenApart(
                f"{name} of {type(penalty).__name__} has shape {np.shape(constant)}, wanted one number for all pixels"
            )


def _spread(values: Array, knots: NDArray[np.float64]) -> Planes:
    """Return values at the knots, where a function may have returned one number for all."""
    return np.broadcast_to(np.asarray(values, np.float32), knots.shape)
