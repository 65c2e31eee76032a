"""Libraries that only some formats and functions need, imported when they are used."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

# By module: the name of its library, and the extra of variflow that installs it.
_EXTRAS = {
    "OpenEXR": ("OpenEXR", "exr"),
    "av": ("PyAV", "video"),
    "h5netcdf": ("h5netcdf", "fields"),
    "h5py": ("h5py", "hdf5"),
    "xarray": ("xarray", "fields"),
    "zarr": ("Zarr", "zarr"),
}


def check_installed(module: str, what: str = "this file format") -> None:
    """Raise an `ImportError` that says how to install `module` if it is missing; nothing is imported."""
    if importlib.util.find_spec(module) is None:
        library, extra = _EXTRAS[module]
        raise ImportError(f"{what} needs {library}: pip install 'variflow[{extra}]'", name=module)


def load(module: str, what: str = "this file format") -> Any:
    """Import a module of an extra.

    Parameters
    ----------
    module : str
        Its name.
    what : str
        What needs it, for the message.

    Returns
    -------
    module : module
        Untyped, because it may be missing where types are checked.

    Raises
    ------
    ImportError
        If it is not installed, saying how to install it.
    """
    check_installed(module, what)
    return importlib.import_module(module)
