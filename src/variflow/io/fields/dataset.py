"""What a Dataset of a field is: its axes, its units, the way that y runs, and what its flags mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from variflow.base.choices import check_choice
from variflow.base.kinds import is_real, name_kind
from variflow.base.types import Numbers
from variflow.io import extras

if TYPE_CHECKING:
    import xarray

YAxis = Literal["up", "down"]
Planes = dict[str, Numbers]

MEASURED, MASKED, REPLACED, REJECTED = range(4)
MASK_MEANING = {
    "long_name": "what became of the vector",
    "flag_values": np.arange(4, dtype=np.int8),
    "flag_meanings": "measured masked replaced rejected",
}

# What changes its sign when y is turned round: the shear and the rotation lie in both axes.
_ODD = ("v", "vorticity", "strain_xy")
_KINDS = {"mask": np.int8, "occlusion": np.int8, "count": np.int32}
_PIXELS = ("pixel", "pixels", "px", "1")
_RATE = re.compile(r"(?P<length>[^\s/]+?)(?P<rate>\s*/\s*\w+|\s+\w+\s*\^?-1)?")


def check_fields(dataset: object, *, in_time: bool = False) -> xarray.Dataset:
    """Return a Dataset that holds u and v on the axes y and x, and says which way y runs.

    Parameters
    ----------
    dataset : xarray.Dataset
        What came.
    in_time : bool
        Whether it may also have an axis time, which then comes first.

    Raises
    ------
    TypeError, ValueError
        If it does not, naming what came and what is wanted.
    """
    kind = extras.load("xarray").Dataset
    if not isinstance(dataset, kind):
        raise TypeError(f"dataset is {name_kind(dataset)}, wanted an xarray.Dataset of the variables u and v")
    for name in ("x", "y"):
        if name not in dataset.coords or dataset[name].dims != (name,):
            raise ValueError(f"dataset has no coordinate {name} along an axis {name}, wanted the axes y and x")
    for name in ("u", "v"):
        if name not in dataset:
            have = ", ".join(map(str, dataset.data_vars)) or "nothing"
            raise ValueError(f"dataset has no variable {name}, it has {have}, wanted u and v")
    axes = ("time", "y", "x") if in_time and "time" in dataset["u"].dims else ("y", "x")
    for name, variable in dataset.data_vars.items():
        if set(variable.dims) != set(axes) or not is_real(variable.dtype):
            hint = "" if in_time or "time" not in variable.dims else "; one field of several is dataset.isel(time=0)"
            raise ValueError(
                f"dataset has the variable {name} of {variable.dtype} along {variable.dims}, "
                f"wanted real numbers along {axes}{hint}"
            )
    check_choice("y_axis of dataset", dataset.attrs.get("y_axis"), ("up", "down"))
    checked: xarray.Dataset = dataset.transpose(*axes)
    if "time" not in axes and "dt" in dataset.coords:  # one field of several, whose pairs have each their own
        checked = checked.drop_vars("dt").assign_attrs(dt=float(dataset["dt"]), dt_unit="s")
    return checked


def turn(dataset: xarray.Dataset, y_axis: YAxis) -> xarray.Dataset:
    """Return a Dataset whose y runs up or down: y changes its sign, and so does what follows from it."""
    if dataset.attrs["y_axis"] == y_axis:
        return dataset
    turned = dataset.assign_coords(y=("y", -dataset["y"].values, dataset["y"].attrs))
    for name in _ODD:
        if name in dataset:
            turned[name] = (("y", "x"), -dataset[name].values, dataset[name].attrs)
    return turned.assign_attrs(y_axis=y_axis)


def measure_pixel(dataset: xarray.Dataset) -> float:
    """Return how much a displacement of one pixel is in the unit of u.

    Raises
    ------
    ValueError
        If u has no unit, or the size of a pixel or the time between the frames is not known.
    """
    units = dataset["u"].attrs.get("units")
    found = _RATE.fullmatch(str(units).strip()) if units else None
    if found is None:
        raise ValueError(
            f"units of u is {units!r}, wanted 'pixel', or a length with or without a time such as 'm s-1': "
            "set dataset.u.attrs['units']"
        )
    scale = 1.0
    if found["length"] not in _PIXELS:
        size, unit = dataset.attrs.get("pixel_size"), dataset.attrs.get("pixel_size_unit", found["length"])
        if size is None or unit != found["length"]:
            have = "missing" if size is None else f"{size} {unit}"
            raise ValueError(f"pixel_size of dataset is {have}, wanted the size of a pixel in {found['length']}")
        scale = float(size)
    if found["rate"] and not found["rate"].strip(" /").startswith("frame"):
        if "dt" not in dataset.attrs:
            raise ValueError(f"dt of dataset is missing, wanted the time between the frames: u is in {units}")
        scale /= float(dataset.attrs["dt"])
    return scale


def get_planes(dataset: xarray.Dataset) -> Planes:
    """Return the variables as arrays (H, W), by name."""
    return {str(name): dataset[name].values for name in dataset.data_vars}


def get_mask(dataset: xarray.Dataset) -> NDArray[np.int8]:
    """Return the flags of the vectors; without any, a missing vector is a rejected one."""
    if "mask" in dataset:
        flags: NDArray[np.int8] = dataset["mask"].values.astype(np.int8)
        return flags
    missing = np.isnan(dataset["u"].values) | np.isnan(dataset["v"].values)
    return np.where(missing, np.int8(REJECTED), np.int8(MEASURED))


def _simplify(value: Any) -> Any:
    """Return a number or an array of NumPy as JSON can hold it."""
    return value.tolist()


def describe(dataset: xarray.Dataset) -> str:
    """Return the attributes of a Dataset and of all in it as one line of JSON, for formats that have none."""
    everything = {str(name): dataset[name].attrs for name in ("x", "y", *dataset.data_vars)}
    return json.dumps({"attributes": dataset.attrs, "variables": everything}, default=_simplify)


def parse_description(text: str | None) -> dict[str, Any]:
    """Return what `describe` wrote, or nothing known.

    Raises
    ------
    ValueError
        If the text is something else.
    """
    if text is None:
        return {"attributes": {}, "variables": {}}
    found = json.loads(text)
    parts = ("attributes", "variables")
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in parts):
        raise ValueError("its description has no attributes and variables")
    return found


def make_dataset(
    x: Numbers, y: Numbers, planes: Mapping[str, Numbers], y_axis: str, description: Mapping[str, Any]
) -> xarray.Dataset:
    """Return a Dataset of arrays (H, W), with what a description says of them."""
    said = description["variables"]
    axes = {
        name: (name, np.asarray(values, np.float64), {"long_name": name, "axis": name.upper()} | said.get(name, {}))
        for name, values in (("x", x), ("y", y))
    }
    variables = {
        name: (
            ("y", "x"),
            np.ascontiguousarray(plane, _KINDS.get(name, np.float32)),
            said.get(name, {}) | (MASK_MEANING if name == "mask" else {}),
        )
        for name, plane in planes.items()
    }
    dataset: xarray.Dataset = extras.load("xarray").Dataset(
        variables, axes, description["attributes"] | {"y_axis": y_axis}
    )
    return dataset
