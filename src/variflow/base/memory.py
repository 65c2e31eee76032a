"""Release the memory that is kept for the next estimate."""

from __future__ import annotations

import gc
import sys

from variflow import _core

__all__ = ["release_memory"]


def __dir__() -> list[str]:
    return sorted(__all__)


def release_memory() -> None:
    """Release what is kept between estimates: blocks of memory, compiled programs of energies, tables of penalties.

    Blocks of memory are kept because the system takes long to provide new ones; the environment variable
    ``VARIFLOW_MEMORY`` limits them, in MiB. The latest programs that JAX has compiled for energies are kept because
    compiling takes a second or more; each has 5 to 10 MiB. The next estimate makes again what it needs. Nothing else
    changes.

    Examples
    --------
    >>> import variflow
    >>> variflow.release_memory()
    """
    energy = "variflow.energy.autodiff"
    for name in (f"{energy}.programs", f"{energy}.noise", "variflow.solve.native_penalties"):
        if name in sys.modules:
            sys.modules[name].release()
    gc.collect()
    _core.release_memory()
