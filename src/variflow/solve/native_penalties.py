"""The penalties that the core knows, and what stands in for the others: their weights at the flow so far.

Any penalty of squared residuals is minimised by least squares, reweighted at each warp. The core finds the weights of
the penalties that it knows itself. Of any other it is given the weights, and minimises a quadratic penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from variflow import _core
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
from variflow.energy.term import keeps
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

# Squared residuals at which the weights of a penalty are looked at before work starts.
_SQUARES = np.concatenate([[0], np.geomspace(1e-12, 1e6, 63)]).astype(np.float32).reshape(8, 8)


def known_penalty(penalty: Any) -> type[Penalty] | None:
    """Return which of the penalties that the core knows a penalty is, if it is one and its constants are numbers."""
    for kind in _NATIVE:
        if keeps(penalty, kind, "of_squared", "weight_of_squared"):
            constants = [getattr(penalty, field.name) for field in fields(kind)]
            return kind if all(np.ndim(value) == 0 for value in constants) else None
    return None


def native_penalty(penalty: Penalty) -> _core.Penalty | None:
    """Return a penalty as the core wants it, or None if the core does not know it."""
    kind = known_penalty(penalty)
    return None if kind is None else _NATIVE[kind](penalty)


def half_weights(penalty: Penalty, squared: Planes) -> Planes:
    """Return half the weights rho'(s) / s of a penalty at squared residuals, which are written over.

    With them a quadratic penalty stands in.

    Raises
    ------
    ValueError
        If they are not finite numbers of at least 0, but for rounding.
    """
    if defines_weight(type(penalty)):
        weights = penalty.weight_of_squared(squared)
    else:
        from variflow.energy.autodiff.weights import compiled_weights

        weights = compiled_weights(penalty, squared)
    half: Planes = np.multiply(weights, np.float32(0.5), out=squared, casting="same_kind")
    lowest, highest = float(half.min()), float(half.max())
    least = -_ROUNDING * highest
    if not (lowest >= least and highest < np.inf):
        wrong = np.count_nonzero(~((half >= least) & (half < np.inf)))
        raise ValueError(
            f"weights rho'(s) / s of the penalty {penalty!r} are negative or not finite at {wrong} of {half.size} "
            "residuals, wanted one that never falls as the residual grows; where of_squared(s^2) has no derivative, "
            "define weight_of_squared(s^2)"
        )
    return half if lowest >= 0 else np.maximum(half, 0, out=half)


def half_weights_of(penalties: list[Penalty], squared: Planes) -> Planes:
    """Return the same of several penalties, each at a plane of squared residuals; at once if they are one."""
    if all(penalty is penalties[0] for penalty in penalties):
        return half_weights(penalties[0], squared)
    return np.stack([half_weights(penalty, plane) for penalty, plane in zip(penalties, squared, strict=True)])


def values(penalty: Penalty, squared: Planes) -> Planes:
    """Return a penalty's values at squared residuals."""
    return np.broadcast_to(np.asarray(penalty.of_squared(squared)), squared.shape)


def check_weights(penalty: Penalty) -> None:
    """Raise NotTakenApart if a penalty that the core does not know has no weights for least squares."""
    if known_penalty(penalty) is not None or any(np.ndim(value) for value in vars(penalty).values()):
        return
    try:
        half_weights(penalty, _SQUARES.copy())
    except ValueError as fault:
        raise NotTakenApart(str(fault)) from None
