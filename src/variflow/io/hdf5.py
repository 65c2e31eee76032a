"""Datasets of HDF5 as frames: NetCDF of version 4, the radar files of ODIM, and what simulations write."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from variflow.base.types import Numbers
from variflow.io import claims, extras
from variflow.io.errors import FileFormatError, ImageFileError
from variflow.io.opening import get_identity, get_size, open_steady
from variflow.io.variables import MEANING, Part, Variable, refuse_another

_MOST_LINKS = 16
_RADAR = ("gain", "offset", "nodata", "undetect")


def list_variables(path: Path, linked: str | None = None) -> list[Variable]:
    """Return all datasets of a file, in all its groups.

    Parameters
    ----------
    path : Path
        An existing file.
    linked : str, optional
        A further name, which may be a link to one of them.

    Returns
    -------
    variables : list of Variable
        Their values are not read yet.
    """
    h5py = extras.load("h5py")
    found: list[Variable] = []

    def visit(name: str, item: object) -> None:
        # The axes of NetCDF without numbers are datasets too.
        if isinstance(item, h5py.Dataset) and item.shape:
            found.append(_make_variable(path, name, item))

    with open_steady(path, ImageFileError) as stored, h5py.File(stored, "r") as file:
        file.visititems(visit)
        if linked is not None and linked.strip("/") not in [variable.name for variable in found]:
            visit(linked.strip("/"), _follow_links(file, linked, _MOST_LINKS))
    return found


def _follow_links(group: Any, name: str, links: int) -> Any:
    """Return what a name leads to, through a few links within the file at most, or None."""
    h5py = extras.load("h5py")
    item = group
    for step in filter(None, name.split("/")):
        link = item.get(step, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links:
            item = _follow_links(item.file if link.path.startswith("/") else item, link.path, links - 1)
        else:
            item = item[step] if isinstance(link, h5py.HardLink) else None
    return item


def _make_variable(path: Path, name: str, dataset: Any) -> Variable:
    shape, before = tuple(dataset.shape), get_identity(path)

    def read(part: Part) -> Numbers:
        h5py = extras.load("h5py")
        with open_steady(path, ImageFileError) as stored, h5py.File(stored, "r") as file:
            dataset = file.get(name)
            refuse_another(path, before, shape, getattr(dataset, "shape", None))
            check_dataset(path, dataset, get_size(stored), ImageFileError)
            return np.asarray(dataset[part])

    axes = tuple(dim.label or (dim[0].name.rsplit("/")[-1] if len(dim) else "") for dim in dataset.dims)
    attributes = _read_meaning(dataset) | {key: dataset.attrs[key] for key in MEANING if key in dataset.attrs}
    return Variable(name, shape, axes, np.dtype(dataset.dtype), attributes, read)


def _read_meaning(dataset: Any) -> dict[str, object]:
    """Return the attributes that ODIM keeps about a dataset, in the groups ``what`` beside it and one level up."""
    said: dict[str, object] = {}
    if dataset.name.rsplit("/")[-1] == "data":
        for group in (dataset.parent.parent, dataset.parent):
            what = group.get("what")
            said |= {key: what.attrs[key] for key in _RADAR if what is not None and key in what.attrs}
    return said


def check_dataset(path: Path, dataset: Any, size: int, error: type[FileFormatError]) -> None:
    """Refuse a dataset that is stored in other files, or asks for more memory than the file can fill.

    Parameters
    ----------
    path : Path
        The file.
    dataset : h5py.Dataset
        Open.
    size : int
        The length of the file in bytes.
    error : type
        The error to raise.

    Raises
    ------
    FileFormatError
        Of that kind.
    """
    if dataset.external or dataset.is_virtual:
        raise error(path, f"its dataset {dataset.name.strip('/')} is stored in other files")
    stored = min(dataset.id.get_storage_size(), size)
    factor = claims.DEFLATE if dataset.chunks is not None else 1
    for shape in (dataset.shape, dataset.chunks or ()):
        needed = math.prod(shape) * dataset.dtype.itemsize
        claims.check_expansion(path, error, shape, needed, stored, factor)
