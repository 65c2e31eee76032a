"""PBM, PGM, PPM and PFM: a header of text, then the numbers, as text or as bytes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from variflow.base.types import Numbers
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.opening import get_size, hold_open
from variflow.io.sequences import Frames, make_plain

_GAP = rb"(?:\s|#[^\n]*\n)+"
_BITS = re.compile(rb"P([14])" + 2 * (_GAP + rb"(\d{1,10})") + rb"\s")
_NUMBERS = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,10})") + rb"\s")
_FLOATS = re.compile(rb"P([Ff])" + 2 * (_GAP + rb"(\d{1,10})") + rb"\s+([-+.\deE]{1,30})[ \t\r]*\n")
_LONGEST_HEADER = 4096


class _Header(NamedTuple):
    """The header of one image; `end` is where its numbers begin, `size` how many bytes they take, None if unknown."""

    kind: bytes
    shape: tuple[int, ...]
    largest: float
    end: int
    size: int | None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        if self.kind in b"Ff":
            return np.dtype("<f4" if self.largest < 0 else ">f4")
        return np.dtype(np.uint8 if self.largest < 256 else ">u2")


class Netpbm(Frames):
    """The images of one file; binary images may follow one another.

    Parameters
    ----------
    path : Path
        An existing file.

    Raises
    ------
    ImageFileError
        If the header of an image is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, hold_open(path, self)
        length = get_size(self._file)
        self._headers: list[_Header] = []
        position = 0
        while position < length:
            self._file.seek(position)
            start = self._file.read(_LONGEST_HEADER)
            if self._headers and not re.match(rb"P[1-6fF]\s", start):
                break  # the rest is no image, but a line break or a comment of a program
            self._headers.append(_parse_header(path, start, position))
            size = self._headers[-1].size
            position = length if size is None else self._headers[-1].end + size

    def __len__(self) -> int:
        return len(self._headers)

    def _read_frame(self, index: int) -> Numbers:
        header = self._headers[index]
        with explain_errors(self._path, ImageFileError, f"frame {index} cannot be read"):
            # A digit takes at least one byte. The file must be this long before memory is allocated.
            wanted = header.end + (math.prod(header.shape) if header.size is None else header.size)
            if get_size(self._file) < wanted:
                raise ImageFileError(self._path, f"truncated: {get_size(self._file)} bytes, {wanted} wanted")
            self._file.seek(header.end)
            data = self._file.read(-1 if header.size is None else header.size)
            if header.size is None:
                return _from_text(self._path, data, header)
            if len(data) < header.size:
                raise ImageFileError(
                    self._path, f"truncated: {header.end + len(data)} bytes, {header.end + header.size} wanted"
                )
            if header.kind == b"4":
                rows = np.frombuffer(data, np.uint8).reshape(header.shape[0], -1)
                return _from_bits(np.unpackbits(rows, axis=1)[:, : header.shape[1]])
            image = np.frombuffer(data, header.dtype).reshape(header.shape)
            return make_plain(image[::-1] if header.kind in b"Ff" else image.astype(header.dtype.newbyteorder("=")))


def _parse_header(path: Path, start: bytes, position: int) -> _Header:
    found = _BITS.match(start) or _NUMBERS.match(start) or _FLOATS.match(start)
    if found is None:
        raise ImageFileError(path, f"a PBM, PGM, PPM or PFM with a damaged header: it begins with {start[:20]!r}")
    kind = found[1]
    width, height = int(found[2]), int(found[3])
    largest = float(found[4]) if kind not in b"14" else 1.0
    if width < 1 or height < 1 or (kind in b"2356" and not 1 <= largest <= 65535):
        raise ImageFileError(path, f"its header says {width} x {height} pixels with values up to {largest:g}")
    shape = (height, width, 3) if kind in b"36F" else (height, width)
    header = _Header(kind, shape, largest, position + found.end(), None)
    if kind == b"4":
        return header._replace(size=height * ((width + 7) // 8))
    return header if kind in b"123" else header._replace(size=math.prod(shape) * header.dtype.itemsize)


def _from_text(path: Path, data: bytes, header: _Header) -> Numbers:
    text = re.sub(rb"#[^\n]*", b"", data)
    count = math.prod(header.shape)
    if header.kind == b"1":  # no space is needed between zeros and ones
        numbers = np.frombuffer(b"".join(text.split()), np.uint8)[:count].astype(np.int64) - ord("0")
    else:
        numbers = np.array(text.split()[:count], np.int64)
    if len(numbers) < count:
        raise ImageFileError(path, f"truncated: {len(numbers)} numbers, {count} wanted")
    if numbers.min() < 0 or numbers.max() > header.largest:
        raise ImageFileError(path, f"holds numbers beyond 0 to {header.largest:g}, which its header gives as the range")
    image = numbers.reshape(header.shape)
    return _from_bits(image) if header.kind == b"1" else image.astype(header.dtype.newbyteorder("="))


def _from_bits(black: Numbers) -> npt.NDArray[np.uint8]:
    """Return 0 where a bit says black, and 255 elsewhere."""
    return np.where(black, np.uint8(0), np.uint8(255))
