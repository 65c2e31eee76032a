"""Write and read fields: the extension of the name chooses the format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from variflow.base.choices import check_choice
from variflow.io import extras
from variflow.io.atomic import find_destination
from variflow.io.errors import FieldsFileError, explain_errors
from variflow.io.fields import csv, matlab, netcdf, openpiv, pivlab, vti
from variflow.io.fields.dataset import YAxis, check_fields
from variflow.io.paths import check_path

if TYPE_CHECKING:
    import xarray

Layout = Literal["openpiv", "pivlab"]


class _Format(Protocol):
    """A format is a module with these, entered in the table below."""

    @property
    def EXTENSIONS(self) -> tuple[str, ...]: ...

    def read(self, path: Path, y_axis: str | None) -> xarray.Dataset:
        """Read a Dataset whose attributes say which way y runs."""

    def write(self, path: Path, dataset: xarray.Dataset) -> None:
        """Write a checked Dataset through `variflow.io.atomic`."""


_FORMATS: tuple[_Format, ...] = (netcdf, csv, vti, matlab)
_BY_EXTENSION = {extension: known for known in _FORMATS for extension in known.EXTENSIONS}
_TEXT = ".txt"
EXTENSIONS = (*_BY_EXTENSION, _TEXT)
_LAYOUTS = {_TEXT: ("openpiv", "pivlab"), ".mat": ("pivlab",)}


def write_fields(path: str | os.PathLike[str], dataset: xarray.Dataset, *, layout: Layout | None = None) -> None:
    """Write a field of vectors for other programs; the extension of the name chooses the format.

    Parameters
    ----------
    path : str or os.PathLike
        ``.nc`` and ``.h5`` are NetCDF of version 4, ``.csv`` a table with a row a vector, ``.vti`` image data of VTK
        for ParaView, ``.mat`` a file of MATLAB, ``.txt`` the text of another program. An existing file is replaced.
    dataset : xarray.Dataset
        Variables ``u`` and ``v`` along ``("y", "x")``, and any others of numbers along them, with the coordinates ``x``
        and ``y``. The attribute ``y_axis`` is "down" or "up". NaN is missing. ``mask`` is 0 where measured, 1 masked,
        2 replaced, 3 rejected. In ``.nc`` and ``.h5`` all variables may be along ``("time", "y", "x")``.
    layout : {"openpiv", "pivlab"}, optional
        For ``.txt``, whose text it is, by default that of OpenPIV. For ``.mat``, "pivlab" gives the names of PIVlab.
        In both layouts of text, and in that of PIVlab, only ``u``, ``v`` and ``mask`` are written.

    Raises
    ------
    FieldsFileError
        If the extension is unknown.
    TypeError, ValueError
        If the Dataset is none of a field, or the layout does not fit the extension.
    ImportError
        If xarray or h5netcdf is missing; the message says which extra brings it.

    See Also
    --------
    read_fields : The other way.

    Notes
    -----
    Each file says which way y runs. In ``.vti`` and in the text of OpenPIV it runs up: ``y`` and ``v`` change their
    signs where it ran down. OpenPIV also counts ``y`` from the last row.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import xarray
    >>> from variflow.io import read_fields, write_fields
    >>> u = (("y", "x"), np.float32([[1, 2, np.nan], [4, 5, 6]]), {"units": "pixel"})
    >>> field = xarray.Dataset({"u": u, "v": u}, {"x": [0.0, 16, 32], "y": [0.0, 16]}, {"y_axis": "down"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_fields(f"{folder}/field.csv", field)
    ...     print(read_fields(f"{folder}/field.csv").u.values)
    [[ 1.  2. nan]
     [ 4.  5.  6.]]
    """
    check_path(path, dataset=dataset)
    check_fields_path(path)
    file = Path(path)
    checked = check_fields(dataset, in_time=file.suffix.lower() in netcdf.EXTENSIONS)
    if layout is not None:
        allowed = _LAYOUTS.get(file.suffix.lower())
        if allowed is None:
            raise ValueError(f"layout is {layout!r}, wanted none for {file.suffix}: only .txt and .mat have several")
        check_choice("layout", layout, allowed)
    if file.suffix.lower() == _TEXT:
        (pivlab if layout == "pivlab" else openpiv).write(file, checked)
    elif layout == "pivlab":
        matlab.write_as_pivlab(file, checked)
    else:
        _BY_EXTENSION[file.suffix.lower()].write(file, checked)


def read_fields(path: str | os.PathLike[str], *, y_axis: YAxis | None = None) -> xarray.Dataset:
    r"""Read a field of vectors that `write_fields`, OpenPIV, PIVlab or another program wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The extension of the name says the format; the text says whether it is that of OpenPIV or of PIVlab.
    y_axis : {"up", "down"}, optional
        Which way y runs, for a file that does not say it. By default it runs up in the text of OpenPIV and in
        ``.vti``, and down in what PIVlab wrote.

    Returns
    -------
    xarray.Dataset
        As `write_fields` takes it, with the uppermost row first. Units are kept where the file has them, and in NetCDF
        an axis ``time``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FieldsFileError
        If the extension is unknown, the file is damaged or holds no field, or nothing says which way y runs.
    ImportError
        If xarray or h5netcdf is missing; the message says which extra brings it.

    See Also
    --------
    write_fields : The other way.
    variflow.flowops.from_xarray : The flow in pixels.

    Examples
    --------
    >>> import tempfile
    >>> from variflow.io import read_fields
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "field.csv"
    ...     _ = file.write_text("x [mm],y [mm],u [mm],v [mm]\n0,0,1,2\n1,0,3,4\n")
    ...     print(read_fields(file, y_axis="up").u.values)
    [[1. 3.]]
    """
    if y_axis is not None:
        check_choice("y_axis", y_axis, ("up", "down"))
    file = _find_format(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    with explain_errors(path, FieldsFileError, "cannot be read"):
        if file.suffix.lower() != _TEXT:
            return _BY_EXTENSION[file.suffix.lower()].read(file, y_axis)
        lines = file.read_text("utf-8-sig").splitlines()
        read = pivlab.read if any("Vector type" in line for line in lines[:4]) else openpiv.read
        return read(file, lines, y_axis)


def check_fields_path(path: str | os.PathLike[str]) -> None:
    """Raise the error of `write_fields` if it cannot write to this path; for a check before long work.

    Raises
    ------
    FieldsFileError
        If the extension is unknown.
    ImportError
        If xarray or h5netcdf is missing.
    OSError
        If the file or its folder may not be written.
    """
    extension = _find_format(path).suffix.lower()
    for module in ("xarray", "h5netcdf") if extension in netcdf.EXTENSIONS else ("xarray",):
        extras.check_installed(module)
    find_destination(path)


def _find_format(path: str | os.PathLike[str]) -> Path:
    check_path(path)
    file = Path(path)
    if file.suffix.lower() not in EXTENSIONS:
        raise FieldsFileError(path, f"has the extension {file.suffix or 'of none'!r}, wanted {', '.join(EXTENSIONS)}")
    return file
