"""A field as a table with one row a vector, as text formats have it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers
from variflow.io.errors import FieldsFileError
from variflow.io.fields.dataset import MASKED, Planes

if TYPE_CHECKING:
    import xarray

# A table whose points fill less than this share of their grid does not lie on one.
_FILLED = 0.25


def format_rows(
    dataset: xarray.Dataset, planes: Planes, delimiter: str, *, by_column: bool = False, end: str = "\n"
) -> bytes:
    """Return the rows ``x, y, planes...``, so precise that float32 comes back exactly.

    Parameters
    ----------
    dataset : xarray.Dataset
        Its coordinates begin each row.
    planes : dict
        By name: arrays (H, W), in the order of the columns.
    delimiter, end : str
        Between two numbers, and after each row.
    by_column : bool
        Whether the vectors of a column of the field follow each other, as in MATLAB.
    """
    x, y = np.meshgrid(dataset["x"].values, dataset["y"].values)
    order = "F" if by_column else "C"
    columns = np.stack([plane.ravel(order).astype(np.float64) for plane in (x, y, *planes.values())], axis=1)
    formats = ["%.17g"] * 2 + ["%d" if plane.dtype.kind in "iu" else "%.9g" for plane in planes.values()]
    out = io.BytesIO()
    np.savetxt(out, columns, formats, delimiter, end)
    return out.getvalue()


def parse_rows(path: Path, lines: list[str], names: list[str], delimiter: str | None) -> dict[str, Numbers]:
    """Return the columns of a table by their names.

    Raises
    ------
    FieldsFileError
        If it has no rows, another number of columns, or other text than numbers.
    """
    if not any(line.strip() for line in lines):
        raise FieldsFileError(path, "has no vectors, wanted a row for each")
    try:
        table = np.loadtxt(lines, delimiter=delimiter, ndmin=2)
    except ValueError as error:
        raise FieldsFileError(path, f"has a row that is not all numbers: {error}") from error
    if table.shape[1] != len(names):
        raise FieldsFileError(path, f"has {table.shape[1]} columns, wanted {len(names)}: {', '.join(names)}")
    return dict(zip(names, table.T, strict=True))


def place_on_grid(path: Path, columns: dict[str, Numbers], y_axis: str) -> tuple[Numbers, Numbers, Planes]:
    """Return x, y and the arrays (H, W) of a table, the uppermost row first; a place without a vector is masked.

    Raises
    ------
    FieldsFileError
        If the vectors do not lie on a grid, or two lie at one place.
    """
    x, y = (columns[name] for name in ("x", "y"))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise FieldsFileError(path, "has a vector without a place, wanted finite x and y")
    (xs, column), (ys, row) = np.unique(x, return_inverse=True), np.unique(y, return_inverse=True)
    if y_axis == "up":
        ys, row = ys[::-1], len(ys) - 1 - row
    shape, places = (len(ys), len(xs)), row * len(xs) + column
    if len(x) < _FILLED * len(xs) * len(ys):
        raise FieldsFileError(path, f"has {len(x)} vectors at {len(xs)} x and {len(ys)} y, wanted them on a grid")
    if len(np.unique(places)) < len(places):
        raise FieldsFileError(path, "has two vectors at one place, wanted one")
    planes = {name: _spread(values, places, shape) for name, values in columns.items() if name not in ("x", "y")}
    if len(places) < shape[0] * shape[1]:
        empty = np.ones(shape, bool)
        empty.flat[places] = False
        planes["mask"] = np.where(empty, MASKED, np.nan_to_num(planes.get("mask", np.zeros(shape))))
        planes |= {name: np.where(empty, 0, planes[name]) for name in ("occlusion", "count") if name in planes}
    return xs, ys, planes


def _spread(values: Numbers, places: NDArray[np.intp], shape: tuple[int, int]) -> Numbers:
    plane = np.full(shape, np.nan)
    plane.flat[places] = values
    return plane
