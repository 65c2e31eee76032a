"""The weights of a penalty that defines its value alone, by a compiled program."""

from __future__ import annotations

from typing import Any

import numpy as np

from variflow.energy.autodiff.programs import run, settings
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.penalties import derived_weight
from variflow.images.resampling import Planes


@settings()
def compiled_weights(penalty: Any, squared: Planes) -> Planes:
    """Return rho'(s) / s of a penalty for planes of s^2; one program serves all penalties of a kind."""
    with explain_faults(penalty, squared.shape[-2:]):
        return np.asarray(run(derived_weight, penalty, squared))
