"""The penalties that the core knows, and what stands in for the others: their weights at the flow so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from variflow import _core
from variflow.energy.penalties import L1, Charbonnier, GeneralisedCharbonnier, Huber, Lorentzian, Penalty, Quadratic
from variflow.energy.term import keeps

_KIND = _core.PenaltyKind

# Each penalty that the core knows, as the core wants it.
_NATIVE: dict[type[Penalty], Callable[[Any], _core.Penalty]] = {
    Quadratic: lambda penalty: _core.Penalty(_KIND.QUADRATIC),
    Charbonnier: lambda penalty: _core.Penalty(_KIND.CHARBONNIER, float(penalty.epsilon)),
    GeneralisedCharbonnier: lambda penalty: _core.Penalty(
        _KIND.GENERALISED_CHARBONNIER, float(penalty.epsilon), float(penalty.exponent)
    ),
    Huber: lambda penalty: _core.Penalty(_KIND.HUBER, float(penalty.threshold)),
    Lorentzian: lambda penalty: _core.Penalty(_KIND.LORENTZIAN, float(penalty.scale)),
    L1: lambda penalty: _core.Penalty(_KIND.L1, float(penalty.smallest)),
}


def known_penalty(penalty: Any) -> type[Penalty] | None:
    """Return which of the penalties that the core knows a penalty is, if it is one and its constants are numbers."""
    for kind in _NATIVE:
        if keeps(penalty, kind, "of_squared", "weight_of_squared"):
            constants = [getattr(penalty, field.name) for field in fields(kind)]
            return kind if all(np.ndim(value) == 0 for value in constants) else None
    return None


def native_penalty(penalty: Penalty) -> _core.Penalty:
    """Return a penalty that the core knows as the core wants it."""
    kind = known_penalty(penalty)
    assert kind is not None  # as `data_and_smoothness` sees to
    return _NATIVE[kind](penalty)
