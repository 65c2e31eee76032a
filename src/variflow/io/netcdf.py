"""Variables of NetCDF of version 3 as frames; version 4 is HDF5."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from variflow.base.types import Numbers
from variflow.io.errors import ImageFileError
from variflow.io.opening import get_identity, get_size, open_steady
from variflow.io.variables import MEANING, Part, Variable, refuse_another


def list_variables(path: Path) -> list[Variable]:
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
        If SciPy does not read its version.
    """
    with open_steady(path, ImageFileError) as file:
        if file.read(4) == b"CDF\x05":
            raise ImageFileError(path, "a NetCDF file of the kind CDF-5; `nccopy -k nc4` makes one of version 4")
        return [_make_variable(path, name, place) for name, place in _locate_all(file).items()]


class _Place(NamedTuple):
    """Where the numbers of a variable are in the file, and their attributes."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[np.generic]
    axes: tuple[str, ...]
    attributes: dict[str, object]


class _Bounded(io.BufferedReader):
    """A file that allocates no memory for bytes beyond its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, get_size(self) - self.tell())
        return super().read(size if size is None or size < 0 else min(size, left))


def _locate_all(file: BinaryIO) -> dict[str, _Place]:
    """Return where each variable is.

    SciPy maps the file into memory, but the map is never read: if a mapped file is shortened, a process that reads the
    lost part is killed.
    """
    from scipy.io import netcdf_file

    copy = _Bounded(io.FileIO(os.dup(file.fileno())))
    copy.seek(0)
    with netcdf_file(copy, "r", mmap=True) as parsed:
        start = parsed._mm_buf.__array_interface__["data"][0]
        return {name: _locate(variable, start) for name, variable in parsed.variables.items()}


def _locate(variable: Any, start: int) -> _Place:
    data = variable.data
    attributes = {
        key: value.decode(errors="replace") if isinstance(value, bytes) else value
        for key, value in variable._attributes.items()
        if key in MEANING
    }
    offset = data.__array_interface__["data"][0] - start
    return _Place(offset, tuple(data.shape), data.strides, data.dtype, tuple(variable.dimensions), attributes)


def _make_variable(path: Path, name: str, place: _Place) -> Variable:
    before = get_identity(path)

    def read(part: Part) -> Numbers:
        with open_steady(path, ImageFileError) as file:
            now = _locate_all(file).get(name)
            refuse_another(path, before, place.shape, None if now is None else now.shape)
            return _read_part(path, file, place if now is None else now, part)

    return Variable(name, place.shape, place.axes, place.dtype, place.attributes, read)


def _read_part(path: Path, file: BinaryIO, place: _Place, part: Part) -> Numbers:
    """Read a part of a variable: indices along its first axes, and everything along the others."""
    offset, shape, strides, dtype, *_ = place
    if part and isinstance(part[0], int):
        inner = place._replace(offset=offset + part[0] * strides[0], shape=shape[1:], strides=strides[1:])
        return _read_part(path, file, inner, part[1:])
    size = math.prod(shape) * dtype.itemsize
    if shape and strides[0] * shape[0] != size:  # the records of several variables are interleaved
        rows = [_read_part(path, file, place, (row, *(slice(None) for _ in shape[1:]))) for row in range(shape[0])]
        return np.asarray(np.stack(rows)[part])
    file.seek(offset)
    stored = file.read(size)
    if len(stored) < size:
        raise ImageFileError(path, f"truncated: {get_size(file)} bytes, {offset + size} wanted")
    return np.asarray(np.frombuffer(stored, dtype).reshape(shape)[part])
