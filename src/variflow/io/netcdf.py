"""Variables of NetCDF of version 3 as frames; version 4 is HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.io.errors import ImageFileError
from variflow.io.opening import identity, opened
from variflow.io.variables import MEANING, Variable


def variables(path: Path) -> list[Variable]:
    """Return all variables of a file.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    variables : list of Variable
        Nothing of them is read yet.

    Raises
    ------
    ImageFileError
        If it is of a version that SciPy does not read.
    """
    with path.open("rb") as start:
        if start.read(4) == b"CDF\x05":
            raise ImageFileError(path, "a NetCDF file of the kind CDF-5; `nccopy -k nc4` makes one of version 4")
    with opened(path, ImageFileError, by_name=True), _file(path) as file:
        return [_variable(path, name, file.variables[name]) for name in file.variables]


def _file(path: Path) -> Any:
    from scipy.io import netcdf_file

    return netcdf_file(path, "r", mmap=True)  # only what is asked for is read


def _variable(path: Path, name: str, variable: Any) -> Variable:
    shape = tuple(variable.data.shape)

    before = identity(path)

    def read(part: tuple[Any, ...]) -> npt.NDArray[Any]:
        with opened(path, ImageFileError, by_name=True), _file(path) as file:
            if identity(path) != before or tuple(file.variables[name].data.shape) != shape:
                raise ImageFileError(path, "another file has taken its place since it was opened")
            # A copy, because the file cannot be closed while something of it is in use.
            return np.array(file.variables[name].data[part])

    attributes = {
        key: value.decode(errors="replace") if isinstance(value, bytes) else value
        for key, value in variable._attributes.items()
        if key in MEANING
    }
    dtype = variable.data.dtype
    return Variable(name, shape, tuple(variable.dimensions), dtype, attributes, read)
