"""Give back the memory that is kept for what comes next."""

from __future__ import annotations

import gc
import sys

from variflow import _core

__all__ = ["release_memory"]


def __dir__() -> list[str]:
    return sorted(__all__)


def release_memory() -> None:
    """Give back to the system what is kept between estimates: planes, and the compiled programs of energies.

    Blocks of memory are kept, up to the environment variable ``VARIFLOW_MEMORY`` in MiB, because the system takes long
    to hand out fresh ones; and so are the latest programs that JAX has compiled for energies, 5 to 10 MiB each, because
    compiling takes a second or more. The next estimate makes anew what it needs; nothing else changes.

    Examples
    --------
    >>> import variflow
    >>> variflow.release_memory()
    """
    for name in ("variflow.energy.autodiff.programs", "variflow.energy.autodiff.jacobian"):
        if name in sys.modules:
            sys.modules[name].release()
    gc.collect()
    _core.release_memory()
