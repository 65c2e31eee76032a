"""Tables of comma-separated values: a row a vector, under a line with names and units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError
from variflow.io.fields.axis import decide_axis, find_comment
from variflow.io.fields.dataset import describe, get_planes, make_dataset, parse_description
from variflow.io.fields.points import format_rows, parse_rows, place_on_grid

if TYPE_CHECKING:
    import xarray

EXTENSIONS = (".csv",)
_HEADING = re.compile(r"\s*(?P<name>\w+)\s*(?:\[(?P<units>[^\]]*)\])?\s*")


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write all variables, the attributes in a comment."""
    planes = get_planes(dataset)
    headings = [f"{name} [{dataset[name].attrs.get('units', '1')}]" for name in ("x", "y", *planes)]
    comments = f"# y axis: {dataset.attrs['y_axis']}\n# variflow: {describe(dataset)}\n"
    rows = format_rows(dataset, planes, ",")
    with atomic(path) as file:
        file.write((comments + ",".join(headings) + "\n").encode() + rows)


def read(path: Path, y_axis: str | None) -> xarray.Dataset:
    """Read a table whose heading names x, y, u and v at least.

    Raises
    ------
    FieldsFileError
        If it is none.
    """
    lines = path.read_text("utf-8-sig").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    if not rows:
        raise FieldsFileError(path, "is empty, wanted a line of names and a row for each vector")
    headings = [_HEADING.fullmatch(heading.strip('" ')) for heading in rows[0].split(",")]
    names = [heading["name"] if heading else "" for heading in headings]
    if not {"x", "y", "u", "v"} <= set(names) or len(set(names)) < len(names):
        raise FieldsFileError(path, f"has the columns {rows[0][:80]!r}, wanted names, each once, with x, y, u and v")
    y_axis = decide_axis(path, find_comment(comments, "y axis"), y_axis)
    description = parse_description(find_comment(comments, "variflow"))
    for heading in headings:
        if heading and heading["units"] and heading["name"] != "mask":
            description["variables"].setdefault(heading["name"], {}).setdefault("units", heading["units"])
    x, y, planes = place_on_grid(path, parse_rows(path, rows[1:], names, ","), y_axis)
    return make_dataset(x, y, planes, y_axis, description)
