"""The weights of a penalty that defines its value alone, by a compiled program."""

from __future__ import annotations

import jax
import numpy as np
from numpy.typing import NDArray

from variflow.energy.autodiff.programs import apply_settings, run
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.penalties import Penalty, derived_weight


@apply_settings()
def compiled_weights(penalty: Penalty, squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rho'(s) / s of a penalty at values of s^2; one program serves all penalties of a kind."""
    # In double precision: a derivative at large s may be a small difference of large numbers.
    with explain_faults(penalty, squared.shape), jax.enable_x64(True):
        return np.asarray(run(derived_weight, penalty, squared))
