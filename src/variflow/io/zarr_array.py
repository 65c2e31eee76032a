"""Zarr: a folder with one array (H, W, 2), version 2 or 3; NaN where the flow is unknown.

References
----------
https://zarr-specs.readthedocs.io/
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

import variflow
from variflow.base.kinds import is_real
from variflow.base.types import Numbers
from variflow.io import claims, extras
from variflow.io.atomic import atomic_folder
from variflow.io.errors import FileFormatError, FlowFileError, explain_errors
from variflow.io.opening import get_identity, watch_folder
from variflow.io.variables import MEANING, Part

EXTENSIONS = (".zarr",)
MAGICS: tuple[bytes, ...] = ()  # a folder
EXTRA = "zarr"

_METADATA = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Return whether a folder holds Zarr metadata."""
    return any((path / name).is_file() for name in _METADATA)


def read(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow from a Zarr array.

    A chunk that was never written holds what the array says for that case.

    Raises
    ------
    FlowFileError
        If the folder is no Zarr array, it is no flow, or a chunk is damaged.
    """
    with watch_folder(path, FlowFileError):
        array = open_array(path, FlowFileError)
        claims.check_flow_shape(path, array.shape, array.dtype)
        check_size(path, array, array.shape, FlowFileError)
        return claims.as_flow(path, np.asarray(array[...]))


def write(path: Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow as a Zarr array of version 3 in chunks of 1024 x 1024 pixels, compressed without loss."""
    zarr = extras.load("zarr")
    everything = {"write_empty_chunks": True}  # a large flow without bytes would not be believed
    chunks = (min(1024, flow.shape[0]), min(1024, flow.shape[1]), 2)
    with atomic_array(path) as (part, call):
        array = call(
            zarr.create_array, part, shape=flow.shape, dtype="float32", chunks=chunks, fill_value=np.nan,
            config=everything,
        )  # fmt: skip
        call(array.__setitem__, ..., flow)


@contextmanager
def atomic_array(path: str | os.PathLike[str]) -> Iterator[tuple[Path, Callable[..., Any]]]:
    """Yield a folder as `atomic_folder` does, and a function that calls another one, which writes into it.

    Zarr writes in a thread of its own, and goes on with that when Ctrl-C has ended the wait for it: files would appear
    in a folder that is being removed. So what writes is called in a thread that Ctrl-C does not reach, and the folder
    is removed when that call has ended.
    """
    # Not at the top: with it comes `logging`, whose locks complain in children that are forked while threads run.
    from concurrent.futures import ThreadPoolExecutor

    with atomic_folder(path) as part, ThreadPoolExecutor(1) as pool:
        yield part, lambda function, *arguments, **settings: pool.submit(function, *arguments, **settings).result()


def describe(model: str) -> dict[str, str]:
    """Return the attributes of an array of flows: what computed them, and what the numbers mean."""
    return {
        "model": model,
        "variflow": variflow.__version__,
        "convention": "(u, v) in pixels, right and down: frame0(x, y) = frame1(x + u, y + v); NaN is unknown",
    }


def open_array(path: Path, error: type[FileFormatError]) -> Any:
    """Open a Zarr array for reading.

    Parameters
    ----------
    path : Path
        An existing folder.
    error : type
        The error to raise.

    Returns
    -------
    array : zarr.Array
        An array of real numbers with at least one element; its values are not read yet.

    Raises
    ------
    FileFormatError
        Of that kind.
    """
    zarr = extras.load("zarr")
    if not is_zarr(path):
        raise error(path, "a folder without Zarr metadata")
    with explain_errors(path, error, "a Zarr array that cannot be opened"):
        array = zarr.open(path, mode="r")
    if not isinstance(array, zarr.Array):
        raise error(path, f"a group of Zarr arrays ({', '.join(sorted(array)[:8]) or 'empty'}); name one of them")
    if not is_real(array.dtype) or 0 in array.shape or array.ndim == 0:
        raise error(path, f"a Zarr array of {array.dtype} and shape {array.shape}, wanted real numbers")
    return array


def find_axes(array: Any) -> tuple[str, ...]:
    """Return the names of an array's axes, as xarray writes them; none if it has none."""
    axes = array.attrs.get("_ARRAY_DIMENSIONS") or getattr(array.metadata, "dimension_names", None) or ()
    return tuple(name or "" for name in axes) if len(axes) == array.ndim else ()


def find_meaning(array: Any) -> dict[str, object]:
    """Return an array's attributes if some say what its numbers mean, by the conventions of xarray; else none."""
    attributes, named = dict(array.attrs), bool(find_axes(array))
    if named and array.metadata.zarr_format == 2 and array.fill_value is not None:
        attributes.setdefault("_FillValue", array.fill_value)
    return attributes if named or any(name in attributes for name in MEANING) else {}


class Unreplaced:
    """An open Zarr array that is read only as long as its folder is not replaced.

    Parameters
    ----------
    path : Path
        Its folder.
    array : zarr.Array
        Open.
    """

    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array
        self._folder = get_identity(path)
        self.shape: tuple[int, ...] = array.shape

    def __getitem__(self, index: int | EllipsisType | Part) -> Numbers:
        """Read a part, indexed as in NumPy."""
        part = np.asarray(self._array[index])
        if get_identity(self._path) != self._folder:
            raise ValueError("another array has taken its place since it was opened")
        return part


def check_size(path: Path, array: Any, shape: tuple[int, ...], error: type[FileFormatError]) -> None:
    """Refuse metadata that ask for more memory, for a part of this shape or for a chunk, than the chunks can fill.

    Parameters
    ----------
    path : Path
        The folder of the array.
    array : zarr.Array
        Open.
    shape : tuple of int
        The shape of the part to read.
    error : type
        The error to raise.

    Raises
    ------
    FileFormatError
        Of that kind.
    """
    shape = max(shape, array.chunks, array.shards or (), key=math.prod)
    needed = math.prod(shape) * array.dtype.itemsize
    stored = 0
    for file in path.rglob("*"):  # an array may have millions of chunks, but few are enough
        if stored * claims.ANY_CODEC >= needed:
            return
        stored += file.stat().st_size if file.is_file() else 0
    claims.check_expansion(path, error, shape, needed, stored, claims.ANY_CODEC)


def check_replaceable(path: Path) -> None:
    """Raise `FlowFileError` if something other than a Zarr array is at `path`."""
    while (before := get_identity(path)) is not None and not _is_array(path):
        if get_identity(path) == before:  # it was not replaced meanwhile
            raise FlowFileError(path, "exists and is no Zarr array, so it is not replaced")


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    try:
        return bool(json.loads((path / "zarr.json").read_bytes())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError):
        return False
