"""The text of PIVlab: two lines about the file, a line of names with units, and a row a vector, column by column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variflow.base.types import Numbers
from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError
from variflow.io.fields.axis import decide_axis
from variflow.io.fields.dataset import MASKED, MEASURED, REJECTED, REPLACED, get_mask, make_dataset
from variflow.io.fields.points import format_rows, parse_rows, place_on_grid

if TYPE_CHECKING:
    import xarray

# typevector of PIVlab: 0 masked, 1 regular, 2 filtered, that is rejected, and interpolated if it is there at all.
_OF_PIVLAB = {MASKED: 0, MEASURED: 1, REPLACED: 2, REJECTED: 2}
_UNITS = {"pixel": "px", "1": "-"}
_PER_SECOND = " s-1"
_AXIS = re.compile(r"y axis: (up|down)")
_FACTOR = re.compile(r"conversion factor (xy|uv) \(.*?\): ([-+.0-9eE]+)")


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write u, v and the kind of each vector; NaN where it is missing."""
    kinds = to_kinds(get_mask(dataset))
    planes = {"u": dataset["u"].values, "v": dataset["v"].values, "Vector type": kinds}
    along, across = say_units(dataset)
    size = float(dataset.attrs.get("pixel_size", 1))
    rate = size / float(dataset.attrs.get("dt", 1))
    heading = [
        f"PIVlab, ASCII chart output - of variflow; y axis: {dataset.attrs['y_axis']}",
        f"FRAME: 1, filenames: unknown & unknown, conversion factor xy (px -> {along}): {size!r}, "
        f"conversion factor uv (px/frame -> {across}): {rate!r}",
        f"x [{along}],y [{along}],u [{across}],v [{across}],Vector type [-]",
    ]
    rows = format_rows(dataset, planes, ",", by_column=True, end="\r\n")
    with atomic(path) as file:
        file.write("".join(line + "\r\n" for line in heading).encode() + rows)


def read(path: Path, lines: list[str], y_axis: str | None) -> xarray.Dataset:
    """Read the chart that PIVlab or `write` saved, without the derived columns; y runs down if nobody says up.

    Raises
    ------
    FieldsFileError
        If it is something else.
    """
    start = next((row for row, line in enumerate(lines) if "Vector type" in line), None)
    if start is None:
        raise FieldsFileError(path, "has no line of names with 'Vector type', wanted the chart of PIVlab")
    about, delimiter = "\n".join(lines[:start]), next((mark for mark in ",\t" if mark in lines[start]), None)
    if delimiter is None:
        raise FieldsFileError(path, "separates names by blanks, wanted commas or tabs")
    headings = [heading.strip() for heading in lines[start].split(delimiter)]
    names = [re.sub(r"\s*\[.*", "", heading) for heading in headings]
    if names[:5] != ["x", "y", "u", "v", "Vector type"]:
        raise FieldsFileError(path, f"has the columns {', '.join(names[:5])}, wanted x, y, u, v and Vector type")
    said = _AXIS.search(about)
    y_axis = decide_axis(path, said and said[1], y_axis, "down")
    rows = [line for line in lines[start + 1 :] if line.strip()]
    columns = dict(list(parse_rows(path, rows, names, delimiter).items())[:5])
    x, y, planes = place_on_grid(path, columns, y_axis)
    kinds = planes.pop("Vector type")
    planes["mask"] = from_kinds(np.where(np.isnan(kinds), 0, kinds), planes["u"])
    units = [heading.partition("[")[2].strip("]") for heading in headings[:4]]
    factors = {name: float(value) for name, value in _FACTOR.findall(about)}
    return make_dataset(x, y, planes, y_axis, describe_units(units[0], units[2], factors.get("xy"), factors.get("uv")))


def to_kinds(mask: Numbers) -> Numbers:
    """Return the typevector of PIVlab for flags of ours."""
    return np.array([_OF_PIVLAB[flag] for flag in range(4)], np.uint8)[mask]


def from_kinds(kinds: Numbers, u: Numbers) -> Numbers:
    """Return our flags for a typevector; what was rejected and not interpolated has no value."""
    return np.select([kinds == 0, (kinds == 2) & np.isnan(u), kinds == 2], [MASKED, REJECTED, REPLACED], MEASURED)


def say_units(dataset: xarray.Dataset) -> tuple[str, str]:
    """Return the units of places and of vectors as PIVlab writes them, such as ``m`` and ``m/s``."""
    along, across = (str(dataset[name].attrs.get("units", "pixel")) for name in ("x", "u"))
    length, rate = across.removesuffix(_PER_SECOND), across.endswith(_PER_SECOND)
    return _UNITS.get(along, along), f"{_UNITS.get(length, length)}/{'s' if rate else 'frame'}"


def describe_units(along: str, across: str, size: float | None, rate: float | None) -> dict[str, Any]:
    """Return the attributes of a Dataset for the units and the factors of PIVlab."""
    length, _, time = across.partition("/")
    names = {short: name for name, short in _UNITS.items()}
    unit = names.get(length, length) + (_PER_SECOND if time == "s" else "")
    variables = {"x": names.get(along, along), "y": names.get(along, along), "u": unit, "v": unit}
    attributes: dict[str, Any] = {}
    if size and along != "px":
        attributes |= {"pixel_size": size, "pixel_size_unit": along}
    if size and rate and time == "s":
        attributes |= {"dt": size / abs(rate), "dt_unit": "s"}
    return {"attributes": attributes, "variables": {name: {"units": units} for name, units in variables.items()}}
