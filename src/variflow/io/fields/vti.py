"""Image data of VTK in XML, which ParaView opens: a vector a point, y up."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from variflow.base.types import Numbers
from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError
from variflow.io.fields.axis import decide_axis
from variflow.io.fields.dataset import Planes, describe, get_planes, make_dataset, parse_description, turn

if TYPE_CHECKING:
    import xarray

EXTENSIONS = (".vti",)
_NAMES = {
    "i1": "Int8", "u1": "UInt8", "i2": "Int16", "u2": "UInt16", "i4": "Int32", "u4": "UInt32",
    "i8": "Int64", "u8": "UInt64", "f4": "Float32", "f8": "Float64",
}  # fmt: skip
_TYPES = {name: code for code, name in _NAMES.items()}
# Steps of a grid may differ by this share, by rounding.
_EVEN = 1e-6


def write(path: Path, dataset: xarray.Dataset) -> None:
    """Write all variables; u and v as vectors of three components.

    Raises
    ------
    ValueError
        If the steps along x or y are not even.
    """
    # The points of VTK begin below, on the left.
    dataset = turn(dataset, "up").sortby(["y", "x"])
    told = describe(dataset)
    planes = get_planes(dataset)
    vectors = np.stack([planes["u"], planes["v"], np.zeros_like(planes["u"])], axis=-1)
    (x, dx), (y, dy) = (_find_steps(dataset[name].values, name) for name in ("x", "y"))
    extent = f"0 {dataset.sizes['x'] - 1} 0 {dataset.sizes['y'] - 1} 0 0"
    name = "velocity" if str(dataset["u"].attrs.get("units", "")).endswith("s-1") else "displacement"
    root = ElementTree.Element(
        "VTKFile", type="ImageData", version="1.0", byte_order="LittleEndian", header_type="UInt64"
    )
    place = {"WholeExtent": extent, "Origin": f"{x!r} {y!r} 0.0", "Spacing": f"{dx!r} {dy!r} 1.0"}
    image = ElementTree.SubElement(root, "ImageData", place)
    said = ElementTree.SubElement(image, "FieldData")
    for key, text in (("y_axis", "up"), ("variflow", told)):
        letters = ElementTree.SubElement(said, "DataArray", type="String", Name=key, NumberOfTuples="1", format="ascii")
        letters.text = " ".join(map(str, [*text.encode(), 0]))
    points = ElementTree.SubElement(ElementTree.SubElement(image, "Piece", Extent=extent), "PointData", Vectors=name)
    _add_array(points, name, vectors)
    for key in (key for key in planes if key not in ("u", "v")):
        _add_array(points, key, planes[key])
    content = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    with atomic(path) as file:
        file.write(content)


def _find_steps(values: Numbers, name: str) -> tuple[float, float]:
    steps = np.diff(values)
    step = float(values[-1] - values[0]) / len(steps) if len(steps) else 1.0
    if (np.abs(steps - step) > _EVEN * step).any():
        raise ValueError(
            f"{name} of dataset has steps from {steps.min():g} to {steps.max():g}, wanted even ones in .vti"
        )
    return float(values[0]), step


def _add_array(points: ElementTree.Element, name: str, values: Numbers) -> None:
    code = f"{values.dtype.kind}{values.dtype.itemsize}"
    data = np.ascontiguousarray(values, "<" + code).tobytes()
    ElementTree.SubElement(
        points, "DataArray", type=_NAMES[code], Name=name, format="binary",
        NumberOfComponents=str(values.shape[2] if values.ndim == 3 else 1),
    ).text = base64.b64encode(len(data).to_bytes(8, "little") + data).decode()  # fmt: skip


def read(path: Path, y_axis: str | None) -> xarray.Dataset:
    """Read a grid in the plane, uncompressed, with vectors at its points.

    Raises
    ------
    FieldsFileError
        If it is something else.
    """
    root = ElementTree.parse(path).getroot()
    image, points = root.find("ImageData"), root.find("ImageData/Piece/PointData")
    if root.tag != "VTKFile" or image is None or points is None:
        raise FieldsFileError(path, "is no image data of VTK, wanted a VTKFile with the PointData of one Piece")
    if root.get("compressor"):
        raise FieldsFileError(path, f"is compressed by {root.get('compressor')}, wanted no compression")
    order = "<" if root.get("byte_order", "LittleEndian") == "LittleEndian" else ">"
    length = np.dtype(order + _TYPES[root.get("header_type", "UInt32")])
    low, high = np.reshape([int(number) for number in image.get("WholeExtent", "").split()], (3, 2)).T
    width, height, depth = (int(number) for number in high - low + 1)
    if depth != 1 or width < 1 or height < 1:
        raise FieldsFileError(path, f"has {width} x {height} x {depth} points, wanted a plane of depth 1")
    planes: Planes = {}
    for array in points.iter("DataArray"):
        values, name = _parse_array(path, array, order, length), array.get("Name", "")
        parts = int(array.get("NumberOfComponents", 1))
        if values.size != parts * width * height:
            raise FieldsFileError(path, f"has {values.size} numbers in {name}, wanted {parts * width * height}")
        grid = values.reshape(height, width, parts)
        planes |= {name: grid[..., 0]} if parts == 1 else {"u": grid[..., 0], "v": grid[..., 1]}
    if not {"u", "v"} <= planes.keys():
        raise FieldsFileError(path, f"has the arrays {', '.join(planes) or 'none'}, wanted one of vectors")
    said = {array.get("Name"): _parse_text(array) for array in image.iterfind("FieldData/DataArray[@type='String']")}
    y_axis = decide_axis(path, said.get("y_axis"), y_axis, "up")
    origin, spacing = ([float(number) for number in image.get(key, "").split()] for key in ("Origin", "Spacing"))
    x, y = (origin[k] + spacing[k] * (low[k] + np.arange(n)) for k, n in ((0, width), (1, height)))
    if y_axis == "up":  # the uppermost row comes first
        y, planes = y[::-1], {name: plane[::-1] for name, plane in planes.items()}
    return make_dataset(x, y, planes, y_axis, parse_description(said.get("variflow")))


def _parse_array(path: Path, array: ElementTree.Element, order: str, length: np.dtype[np.generic]) -> Numbers:
    code, form, text = _TYPES.get(array.get("type", "")), array.get("format", "ascii"), array.text or ""
    if code is None or form not in ("ascii", "binary"):
        raise FieldsFileError(
            path, f"has an array {array.get('Name')} of type {array.get('type')}, {form}, wanted numbers inline"
        )
    if form == "ascii":
        return np.array(text.split(), code)
    data = base64.b64decode("".join(text.split()))
    size = int.from_bytes(data[: length.itemsize], "little" if order == "<" else "big")
    if size != len(data) - length.itemsize or size % np.dtype(code).itemsize:
        raise FieldsFileError(path, f"has {len(data) - length.itemsize} bytes in {array.get('Name')}, wanted {size}")
    return np.frombuffer(data, order + code, offset=length.itemsize)


def _parse_text(array: ElementTree.Element) -> str:
    return bytes(int(letter) for letter in (array.text or "").split()).rstrip(b"\0").decode()
