"""Digests of settings and of files: they tell whether a result is still that of what is there now."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FunctionType

import numpy as np

from variflow.base.kinds import is_like_array


def digest_settings(settings: object) -> str:
    """Return a digest of a value such as a model, including the numbers of its arrays and the code of its functions."""
    digest = hashlib.sha256()
    _feed(digest, settings, ())
    return digest.hexdigest()[:16]


def digest_file(path: Path) -> str:
    """Return a digest of the content of a file; raise OSError if it is a pipe, which might never end."""
    if path.is_fifo():
        raise OSError(f"{path}: a pipe, wanted a file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _feed(digest: hashlib._Hash, value: object, around: tuple[int, ...]) -> None:
    # The type before each value keeps values apart that have the same bytes.
    digest.update(f"{type(value).__module__}.{type(value).__qualname__};".encode())
    if id(value) in around:  # a function that calls itself
        return
    if is_like_array(value):
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype.str} {np.shape(value)};".encode())
        digest.update(array.tobytes())
        return
    parts = _split(value)
    if parts is None:
        digest.update(f"{value!r};".encode())
        return
    digest.update(f"{len(parts)};".encode())
    for part in parts:
        _feed(digest, part, (*around, id(value)))


def _is_own(value: object, user: FunctionType) -> bool:
    """Return whether a value that a function uses was written by its author, and is not part of a library."""
    if isinstance(value, FunctionType):
        return value.__module__ == user.__module__
    return isinstance(value, bool | int | float | str | tuple | np.ndarray)


def _split(value: object) -> Sequence[object] | None:
    """Return the parts of a value, None if it has none."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set | frozenset):  # its order differs from process to process
        return sorted(map(repr, value))
    if isinstance(value, FunctionType):
        used = inspect.getclosurevars(value)
        own = [part for part in used.globals.items() if _is_own(part[1], value)]
        return [value.__code__, value.__defaults__, value.__kwdefaults__, used.nonlocals, own]
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    return None
