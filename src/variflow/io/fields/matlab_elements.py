"""Check the elements of a MATLAB file before SciPy reads them: damaged ones can end the process there."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

from variflow.io.errors import FieldsFileError

_HEADER = 128
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
# Bytes of a number: int8 to uint32, single, double, int64, uint64, and texts of 8, 16 and 32 bits.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_CELL, _SPARSE, _NUMBERS = 1, 5, range(4, 16)
_COMPLEX = 0x800
_DEEPEST = 8
_MOST_BYTES = 2**31


def list_readable(path: Path) -> list[str]:
    """Return the names of the variables of numbers, texts and cells, whose elements are as they must be.

    Raises
    ------
    FieldsFileError
        If an element is damaged, or the file is none of MATLAB 5 to 7.

    References
    ----------
    MAT-File Format, The MathWorks, 2024.
    """
    content = path.read_bytes()
    mark = content[_HEADER - 2 : _HEADER]
    if mark not in (b"IM", b"MI") or content[_HEADER - 4 : _HEADER - 2] not in (b"\0\1", b"\1\0"):
        raise FieldsFileError(path, "is no file of MATLAB 5 to 7; save it with -v7, not -v7.3")
    little = mark == b"IM"
    names = []
    for kind, inside in _split(path, memoryview(content)[_HEADER:], little):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(inside, _MOST_BYTES)  # raises an error where the checksum differs
            if not unpacker.eof:
                raise FieldsFileError(path, "is damaged or truncated: a compressed element has no end")
            ((kind, inside),) = _split(path, memoryview(unpacked), little)
        if kind != _MATRIX:
            raise FieldsFileError(path, f"is damaged: a variable is of the unknown kind {kind}")
        name, readable = _check_matrix(path, inside, little, 0)
        if readable:
            names.append(name)
    return names


def _split(path: Path, content: memoryview, little: bool) -> Iterator[tuple[int, memoryview]]:
    """Yield the kind and the content of each element."""
    place = 0
    while place < len(content):
        kind, size = (_as_number(content[place + k : place + k + 4], little) for k in (0, 4))
        start, small = place + 8, kind >> 16
        if small:  # up to four bytes, beside the tag
            kind, size, start = kind & 0xFFFF, small, place + 4
        if start + size > len(content) or small > 4:
            raise FieldsFileError(path, f"is damaged or truncated: an element claims {size} bytes")
        yield kind, content[start : start + size]
        place = start + size
        if kind != _COMPRESSED:
            place += -place % 8


def _check_matrix(path: Path, content: memoryview, little: bool, depth: int) -> tuple[str, bool]:
    """Return the name of a matrix, and whether it and all in it are readable."""
    parts = list(_split(path, content, little))
    if not parts and depth:  # an empty cell
        return "", True
    kinds = [kind for kind, _ in parts]
    if kinds[:3] != [_UINT32, _INT32, _INT8] or len(parts[0][1]) != 8 or depth > _DEEPEST:
        raise FieldsFileError(path, f"is damaged: a variable begins with elements of the kinds {kinds[:3]}")
    flags, shape, name = _as_number(parts[0][1][:4], little), parts[1][1], bytes(parts[2][1]).decode("latin-1")
    lengths = [_as_number(shape[k : k + 4], little) for k in range(0, len(shape), 4)]
    values, count = parts[3:], math.prod(lengths)
    if flags & 0xFF == _CELL:
        right = len(values) == count and all(kind == _MATRIX for kind, _ in values)
        readable = right and all(_check_matrix(path, inside, little, depth + 1)[1] for _, inside in values)
    elif flags & 0xFF in _NUMBERS and flags & 0xFF != _SPARSE:
        right = len(values) == (2 if flags & _COMPLEX else 1) and all(
            kind in _SIZES and (kind == _UTF8 or len(inside) == count * _SIZES[kind]) for kind, inside in values
        )
        readable = True
    else:  # structures, objects and functions are not read
        return name, False
    if not right or not 2 <= len(lengths) <= 32:
        raise FieldsFileError(path, f"is damaged: {name} does not hold what its size {lengths} says")
    return name, readable


def _as_number(content: memoryview, little: bool) -> int:
    return int.from_bytes(content, "little" if little else "big")
