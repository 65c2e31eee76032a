"""Fields with units on the command line: which options ask for them, and how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from variflow import io
from variflow.base.choices import check_choice
from variflow.cli.options import read_number
from variflow.flowops.coarsening import check_grid
from variflow.flowops.labelled import Axes
from variflow.flowops.measured import FIELDS, Field, check_field_names
from variflow.flowops.units import PixelSize, check_units
from variflow.io.fields.files import EXTENSIONS as FIELD_EXTENSIONS
from variflow.io.flows import EXTENSIONS as FLOW_EXTENSIONS

if TYPE_CHECKING:
    from variflow.result import Result

PixelSizeText = Annotated[
    str | None,
    typer.Option(
        "--pixel-size",
        help="The side of a pixel in metres, as 25e-6, or with the unit of all lengths, as 25um.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--dt",
        parser=read_number,
        metavar="SECONDS",
        help="Seconds between the frames; the flow is then a velocity.",
    ),
]
Grid = Annotated[int | None, typer.Option("--grid", help="Average over squares of so many pixels.")]
FieldNames = Annotated[
    list[str] | None,
    typer.Option("--fields", help=f"What to derive: {', '.join(FIELDS)}; several with commas, or the option repeated."),
]
AxesText = Annotated[
    str | None, typer.Option("--axes", help="`up` lets y and v point up, as in fluid dynamics (default: down).")
]
Validate = Annotated[
    bool, typer.Option("--validate", help="Replace vectors that cannot be right, and flag them in `mask`.")
]

# What functions call the options in their messages.
NAMES = {"pixel_size": "--pixel-size", "dt": "--dt", "grid": "--grid", "fields": "--fields", "axes": "--axes"}

_LENGTH = re.compile(r"(?P<number>[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)\s*(?P<unit>[^\d\s]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What options ask for fields with units.

    Attributes
    ----------
    units : dict
        `pixel_size` and `dt`, as `Result.to_xarray` takes them.
    grid, fields, axes, validate
        As `Result.to_xarray` takes them.
    """

    units: dict[str, Any]
    grid: int | None
    fields: list[Field]
    axes: Axes
    validate: bool

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError if frames of this shape are smaller than a square of the grid."""
        if self.grid is not None:
            check_grid(self.grid, shape)

    def get_options(self) -> dict[str, Any]:
        """Return them by their names in `Result.to_xarray` and `variflow.video.to_xarray`."""
        more = {"grid": self.grid, "fields": self.fields, "axes": self.axes, "validate": self.validate}
        return self.units | more

    def write(self, path: Path, result: Result) -> None:
        """Write a result in these units."""
        io.write_fields(path, result.to_xarray(**self.get_options()))


def ask_for_fields(
    path: Path,
    pixel_size: str | None,
    dt: float | None,
    grid: int | None,
    fields: list[str] | None,
    axes: str | None,
    validate: bool,
) -> Request | None:
    """Return what is asked for, or None if it is a plain flow: no option is given, and the file can hold a flow.

    Raises
    ------
    FileFormatError, ValueError
        If the file can hold neither, or an option is wrong.
    """
    if (pixel_size, dt, grid, fields, axes) == 5 * (None,) and not validate:
        try:
            io.check_flow_path(path)
            return None
        except io.FlowFileError as error:
            extension = path.suffix.lower()
            if extension in FLOW_EXTENSIONS:
                raise
            if extension not in FIELD_EXTENSIONS:
                known = ", ".join(FIELD_EXTENSIONS)
                raise io.FlowFileError(path, f"{error.reason}, and for fields in units {known}") from None
    io.check_fields_path(path)
    units = read_units(pixel_size, dt)
    names = [name.strip() for text in fields or () for name in text.split(",") if name.strip()]
    direction = check_choice("axes", axes or "down", get_args(Axes))
    return Request(units, grid, check_field_names(names), direction, validate)


def read_units(pixel_size: str | None, dt: float | None) -> dict[str, Any]:
    """Return `pixel_size` and `dt` as functions take them; raise ValueError if one is wrong."""
    size = None if pixel_size is None else _read_length(pixel_size)
    check_units(size, dt)
    return {"pixel_size": size, "dt": dt}


def _read_length(text: str) -> PixelSize:
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"pixel_size is {text!r}, wanted a number of metres such as 25e-6, or one with a unit as 25um")
    return float(found["number"]), found["unit"] or "m"
