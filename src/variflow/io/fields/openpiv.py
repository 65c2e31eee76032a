"""The text of OpenPIV: a row a vector, separated by tabs, y up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError
from variflow.io.fields.axis import decide_axis, find_comment
from variflow.io.fields.dataset import (
    MASKED,
    REJECTED,
    REPLACED,
    describe,
    get_mask,
    make_dataset,
    parse_description,
    turn,
)
from variflow.io.fields.points import format_rows, parse_rows, place_on_grid

if TYPE_CHECKING:
    import xarray

_COLUMNS = ["x", "y", "u", "v", "flags", "mask"]
# flags of OpenPIV: 0 valid, 1 invalid, 2 interpolated.
_INVALID, _INTERPOLATED = 1, 2


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write u, v and the flags. Where y runs down, it is counted upwards from the last row, as OpenPIV does."""
    if dataset.attrs["y_axis"] == "down":
        y = dataset["y"].values
        dataset = turn(dataset, "up").assign_coords(y=("y", y[0] + y[-1] - y, dataset["y"].attrs))
    mask = get_mask(dataset)
    flags = np.select([mask == REPLACED, mask == REJECTED], [_INTERPOLATED, _INVALID], 0)
    planes = {
        "u": dataset["u"].values,
        "v": dataset["v"].values,
        "flags": flags,
        "mask": (mask == MASKED).astype(np.int8),
    }
    told = describe(dataset[["u", "v"]])
    heading = "# " + "\t".join(_COLUMNS) + f"\n# y axis: up\n# variflow: {told}\n"
    rows = format_rows(dataset, planes, "\t")
    with atomic(path) as file:
        file.write(heading.encode() + rows)


def read(path: Path, lines: list[str], y_axis: str | None) -> xarray.Dataset:
    """Read what OpenPIV or `write` saved; without a word about y, it runs up.

    Raises
    ------
    FieldsFileError
        If it is something else.
    """
    comments = [line for line in lines if line.startswith("#")]
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    if not comments or comments[0].strip("# ").replace(",", " ").split() != _COLUMNS:
        raise FieldsFileError(path, f"has no first line '# {' '.join(_COLUMNS)}' of OpenPIV, and none of PIVlab")
    y_axis = decide_axis(path, find_comment(comments, "y axis"), y_axis, "up")
    delimiter = "," if rows and "," in rows[0] else None
    x, y, planes = place_on_grid(path, parse_rows(path, rows, _COLUMNS, delimiter), y_axis)
    flags = planes.pop("flags")
    for name in ("u", "v"):  # OpenPIV writes 0 where an array is masked
        planes[name][planes["mask"] != 0] = np.nan
    planes["mask"] = np.select(
        [planes["mask"] != 0, flags == _INTERPOLATED, flags == _INVALID], [MASKED, REPLACED, REJECTED], 0
    )
    return make_dataset(x, y, planes, y_axis, parse_description(find_comment(comments, "variflow")))
