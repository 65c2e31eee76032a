"""NumPy's ``.npy``: a flow as the array (H, W, 2) that it is in memory, NaN where it is unknown.

References
----------
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
from pathlib import Path
from types import EllipsisType
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from variflow.base.kinds import is_real
from variflow.base.types import Numbers
from variflow.io import claims
from variflow.io.atomic import atomic
from variflow.io.errors import FileFormatError, FlowFileError
from variflow.io.opening import get_size, hold_open, open_steady

EXTENSIONS = (".npy",)
MAGICS = (b"\x93NUMPY",)

_AT_ONCE = 1 << 24
_LONGEST_HEADER = 10000

# By version: the function that reads the rest of a header, and the number of bytes of its length.
_HEADERS = {
    (1, 0): (np.lib.format.read_array_header_1_0, 2),
    (2, 0): (np.lib.format.read_array_header_2_0, 4),
}


class Header(NamedTuple):
    """The header of a ``.npy`` file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a ``.npy`` file, of any real type and byte order.

    Raises
    ------
    FlowFileError
        If it is no ``.npy`` file, its array is no flow, or its length is not what its header says.
    """
    with open_steady(path, FlowFileError) as file:
        header = read_header(path, file, get_size(file), FlowFileError)
        claims.check_flow_shape(path, header.shape, header.dtype)
        values = read_values(file, header)
    return claims.as_flow(path, values)


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as a little-endian float32 array (H, W, 2)."""
    values = flow.astype("<f4", copy=False)
    with atomic(path) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
        file.write(values.data)


def read_header(path: Path, file: IO[bytes], size: int, error: type[FileFormatError]) -> Header:
    """Read the header of an array of plain numbers that extends to the end of its file.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file
        At its beginning; afterwards at the first number.
    size : int
        Its length in bytes.
    error : type
        The error to raise.

    Returns
    -------
    header : Header
        Checked against `size`.

    Raises
    ------
    FileFormatError
        Of that kind, if there is no such array; NumPy raises its own errors for a damaged header.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise error(path, f"a .npy of version {version[0]}.{version[1]}, 1.0 and 2.0 hold plain numbers")
    read_version, digits = _HEADERS[version]
    start = file.tell()
    length = int.from_bytes(file.read(digits), "little")
    if length > _LONGEST_HEADER:
        raise error(path, f"its header claims a length of {length} bytes, wanted at most {_LONGEST_HEADER}")
    file.seek(start)
    header = Header(*read_version(file))
    if not is_real(header.dtype):
        raise error(path, f"holds {header.dtype}, wanted real numbers")
    if any(length < 1 for length in header.shape):
        raise error(path, f"its header says the shape {header.shape}, wanted lengths of at least 1")
    wanted = file.tell() + math.prod(header.shape) * header.dtype.itemsize
    if size != wanted:
        fault = "truncated" if size < wanted else "trailing data"
        raise error(path, f"{fault}: {size} bytes, an array of shape {header.shape} needs {wanted}")
    return header


class Stored:
    """An array in a ``.npy`` file; parts are read when they are asked for.

    The file is not mapped into memory: if a mapped file is shortened, a process that reads the lost part is killed.

    Parameters
    ----------
    path : Path
        An existing file.
    error : type
        The error to raise.

    Raises
    ------
    FileFormatError
        Of that kind, if there is no such array.
    """

    def __init__(self, path: Path, error: type[FileFormatError]) -> None:
        self._file = hold_open(path, self)
        self._header = read_header(path, self._file, get_size(self._file), error)
        self._start = self._file.tell()
        self.shape = self._header.shape

    def __getitem__(self, index: int | EllipsisType) -> Numbers:
        """Read one element along the first axis, or with ``...`` everything."""
        shape, fortran, dtype = self._header
        if index is ...:
            self._file.seek(self._start)
            return read_values(self._file, self._header)
        part = Header(shape[1:], fortran, dtype)
        size = math.prod(part.shape) * dtype.itemsize
        if not fortran:
            self._file.seek(self._start + index * size)
            return read_values(self._file, part)
        # The first axis varies fastest: its elements are scattered over the whole file.
        found = np.empty(math.prod(part.shape), dtype)
        each = max(1, _AT_ONCE // (shape[0] * dtype.itemsize))
        self._file.seek(self._start)
        for first in range(0, found.size, each):
            some = found[first : first + each]
            some[:] = read_values(self._file, Header((len(some), shape[0]), False, dtype))[:, index]
        return found.reshape(part.shape, order="F")


def read_values(file: IO[bytes], header: Header) -> Numbers:
    """Read the numbers that follow a header, as a writable array."""
    count = math.prod(header.shape) * header.dtype.itemsize
    data = bytearray(file.read(count))
    if len(data) != count:
        raise ValueError(f"truncated: {len(data)} bytes of numbers, {count} wanted")
    return np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
