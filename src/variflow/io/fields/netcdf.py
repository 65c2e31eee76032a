"""NetCDF of version 4, which is HDF5, as xarray writes it: nothing is lost."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from variflow.io import extras
from variflow.io.atomic import atomic
from variflow.io.fields.axis import decide_axis
from variflow.io.fields.dataset import check_fields

if TYPE_CHECKING:
    import xarray

EXTENSIONS = (".nc", ".h5")


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write a Dataset, compressed."""
    h5netcdf, store = extras.load("h5netcdf"), extras.load("xarray").backends.H5NetCDFStore
    packed: dict[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True}
    encoding: dict[Any, Any] = dict.fromkeys(dataset.data_vars, packed)
    encoding |= {name: {"_FillValue": None} for name in dataset.coords}
    # In memory: if the disk is full, HDF5 itself would end the process.
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as stored:
        dataset.drop_encoding().dump_to_store(store(stored), encoding=encoding)
    with atomic(path) as file:
        file.write(content.getvalue())


def read(path: Path, y_axis: str | None) -> xarray.Dataset:
    """Read a Dataset, of version 3 or 4.

    Raises
    ------
    FieldsFileError
        If nobody says which way y runs.
    """
    load = extras.load("xarray").load_dataset
    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    if engine == "h5netcdf":
        extras.check_installed("h5netcdf")
        with extras.load("h5py").File(path, "r") as stored:  # h5netcdf cannot clear up where this fails
            dict(stored.attrs)
    dataset = load(path, engine=engine).drop_encoding()
    dataset.attrs["y_axis"] = decide_axis(path, dataset.attrs.get("y_axis"), y_axis)
    return check_fields(dataset, in_time=True)
