"""Files of MATLAB: the axes as grids, each variable as a matrix, and the typevector of PIVlab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variflow.base.types import Numbers
from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError
from variflow.io.fields.axis import decide_axis
from variflow.io.fields.dataset import describe, get_mask, get_planes, make_dataset, parse_description
from variflow.io.fields.matlab_elements import list_readable
from variflow.io.fields.pivlab import describe_units, from_kinds, say_units, to_kinds

if TYPE_CHECKING:
    import xarray

EXTENSIONS = (".mat",)
_STAGES = ("smoothed", "filtered", "original")


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write all variables by their names."""
    _save(
        path, dataset, get_planes(dataset) | {"typevector": to_kinds(get_mask(dataset)), "variflow": describe(dataset)}
    )


def write_as_pivlab(path: Path, dataset: xarray.Dataset) -> None:
    """Write u and v by the names that PIVlab gives to a single frame."""
    kinds, (along, across) = to_kinds(get_mask(dataset)), say_units(dataset)
    size = float(dataset.attrs.get("pixel_size", 1))
    content: dict[str, Any] = {"units": f"[{along}] respectively [{across}]", "calxy": size}
    content["calu"] = content["calv"] = size / float(dataset.attrs.get("dt", 1))
    for stage in ("original", "filtered"):
        content |= {f"u_{stage}": dataset["u"].values, f"v_{stage}": dataset["v"].values, f"typevector_{stage}": kinds}
    _save(path, dataset, content)


def _save(path: Path, dataset: xarray.Dataset, content: dict[str, Any]) -> None:
    from scipy.io import savemat

    x, y = np.meshgrid(dataset["x"].values, dataset["y"].values)
    with atomic(path) as file:
        savemat(file, {"x": x, "y": y, "y_axis": dataset.attrs["y_axis"]} | content, do_compression=True)


def read(path: Path, y_axis: str | None) -> xarray.Dataset:
    """Read what `write` or PIVlab saved; of PIVlab, the last stage that is there.

    Raises
    ------
    FieldsFileError
        If it is something else, or holds several frames.
    """
    from scipy.io import loadmat

    stored = loadmat(path, variable_names=list_readable(path))
    content: dict[str, Any] = {
        name: _unpack(path, name, value) for name, value in stored.items() if not name.startswith("_")
    }
    stages = [stage for stage in _STAGES if np.size(content.get(f"u_{stage}", ()))]
    if stages:
        content |= {name: content.get(f"{name}_{stages[0]}") for name in ("u", "v")}
        found = [kinds for s in stages if np.size(kinds := content.get(f"typevector_{s}", ()))]
        content["typevector"] = found[0] if found else np.ones(np.shape(content["u"]))
    grid = np.shape(content.get("x", ()))
    for name in ("x", "y", "u", "v"):
        if content.get(name) is None or len(grid) != 2 or np.shape(content[name]) != grid:
            have = "nothing" if content.get(name) is None else f"shape {np.shape(content[name])}"
            raise FieldsFileError(path, f"has {have} as {name}, wanted x, y, u and v as matrices of one shape")
    said, told = (_get_text(content, name) for name in ("y_axis", "variflow"))
    y_axis = decide_axis(path, said, y_axis, "down" if stages else None)
    description = parse_description(told)
    planes = {name: content[name] for name in ("u", "v")}
    if told is None:
        kinds = content.get("typevector", np.ones(grid))
        planes = {name: np.where(kinds == 0, np.nan, plane) for name, plane in planes.items()}
        planes["mask"] = from_kinds(kinds, planes["u"])
        words = [word.strip("[]") for word in (_get_text(content, "units") or "").split()]
        if len(words) == 3:
            factors = [float(np.ravel(content.get(name, 1))[0]) for name in ("calxy", "calu")]
            description = describe_units(words[0], words[2], *factors)
    else:
        planes = {name: content[name] for name in description["variables"] if name not in ("x", "y")}
    x, y = content["x"], content["y"]
    if (x != x[:1]).any() or (y != y[:, :1]).any():
        raise FieldsFileError(path, "has places that lie on no grid, wanted x along the rows and y along the columns")
    return make_dataset(x[0], y[:, 0], planes, y_axis, description)


def _unpack(path: Path, name: str, value: Numbers) -> Numbers:
    """Return the content of a cell array of one frame."""
    if value.dtype == object and name != "information":
        if value.size != 1:
            raise FieldsFileError(path, f"holds {value.size} frames in {name}, wanted one: export a single frame")
        return np.asarray(value.item())
    return value


def _get_text(content: dict[str, Any], name: str) -> str | None:
    value = np.ravel(content.get(name, ()))
    return str(value[0]) if value.size == 1 and value.dtype.kind == "U" else None
