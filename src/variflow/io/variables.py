"""Frames in the variables of NetCDF, HDF5 and Zarr, with missing data, scale and offset by their attributes.

References
----------
https://cfconventions.org/, https://www.eumetnet.eu/observations/weather-radar-network/ (ODIM HDF5)
"""

from __future__ import annotations

import base64
import difflib
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import MOST_CHANNELS
from variflow.base.kinds import is_float, is_integer, is_real
from variflow.base.types import Numbers
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.opening import get_identity
from variflow.io.sequences import Frames, make_plain

MEANING = (
    "_FillValue", "missing_value", "valid_range", "valid_min", "valid_max", "scale_factor", "add_offset", "_Unsigned",
    "coordinates", "bounds",
)  # fmt: skip
"""The attributes that say what numbers mean, and which variables hold no frames."""

Part = tuple[int | slice, ...]
"""A part of an array: an index, or all, along each of its axes."""

_CHANNELS = re.compile(r"(?:c|s|bands?|channels?|rgba?|colou?rs?|components?|samples?)\d*", re.IGNORECASE)
_NO_NAME = re.compile(r"(?:|phony_dim_\d+|dim_\d+)")
_NEVER_WRITTEN = 9.969209968386869e36  # the value in NetCDF where nothing was written
_LISTED = 12


class Variable(NamedTuple):
    """An array of numbers in a file.

    Parameters
    ----------
    name : str
        Its name, as given after the colon.
    shape, axes : tuple
        The length of each axis, and its name; empty if it has none.
    dtype : numpy.dtype
        The type that is stored.
    attributes : mapping
        What the file says about the numbers.
    read : callable
        Reads a part of it as it is stored.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    dtype: np.dtype[np.generic]
    attributes: Mapping[str, object]
    read: Callable[[Part], Numbers]


def refuse_another(path: Path, before: object, shape: tuple[int, ...], now: tuple[int, ...] | None) -> None:
    """Raise `ImageFileError` if a file has been replaced, or its variable has another shape now."""
    if get_identity(path) != before or now != shape:
        raise ImageFileError(path, "another file has taken its place since it was opened")


class Measured(Frames):
    """The frames of a variable with the axes (y, x) or (time, y, x), and channels last; axes of length 1 do not count.

    Missing data are NaN, and scale and offset are applied. A variable without such attributes has the numbers that are
    stored.

    Parameters
    ----------
    path : Path
        For messages.
    variable : Variable
        The variable.

    Raises
    ------
    ImageFileError
        If it has other axes.
    """

    def __init__(self, path: Path, variable: Variable) -> None:
        self._path, self._variable = path, variable
        if not is_real(variable.dtype):
            raise ImageFileError(path, f"its variable {variable.name} holds {variable.dtype}, wanted real numbers")
        self._places = _find_long_axes(variable)
        channels = _has_channels(variable, self._places)
        self._many = len(self._places) - channels == 3
        if len(self._places) - channels not in (2, 3) or 0 in variable.shape:
            raise ImageFileError(
                path,
                f"its variable {variable.name} has the axes {_describe_axes(variable)}, wanted (y, x) or (time, y, x), "
                f"and up to {MOST_CHANNELS} channels last. Choose a part, as with xarray, and give the array",
            )

    def __len__(self) -> int:
        return self._variable.shape[self._places[0]] if self._many else 1

    def _read_frame(self, index: int) -> Numbers:
        part: list[int | slice] = [0] * len(self._variable.shape)
        for place in self._places:
            part[place] = slice(None)
        if self._many:
            part[self._places[0]] = index
        with explain_errors(self._path, ImageFileError, f"frame {index} of {self._variable.name} cannot be read"):
            return make_plain(decode(np.array(self._variable.read(tuple(part))), self._variable.attributes))


def _find_long_axes(variable: Variable) -> list[int]:
    places = [place for place, length in enumerate(variable.shape) if length != 1]
    return places if len(places) > 1 else list(range(len(variable.shape)))[-2:]


def _has_channels(variable: Variable, places: Sequence[int]) -> bool:
    if len(places) < 3:
        return False
    name, length = variable.axes[places[-1]], variable.shape[places[-1]]
    return length <= MOST_CHANNELS and bool(_NO_NAME.fullmatch(name) or _CHANNELS.fullmatch(name))


def _describe_axes(variable: Variable) -> str:
    return ", ".join(f"{name} {length}".strip() for name, length in zip(variable.axes, variable.shape, strict=True))


def choose_variable(path: Path, name: str | None, variables: Sequence[Variable]) -> Variable:
    """Return the variable of this name or, without a name, the only one that holds frames.

    Raises
    ------
    ImageFileError
        If there is none, or there are several.
    """
    others = " ".join(
        str(one.attributes.get(key, "")) for one in variables for key in ("coordinates", "bounds")
    ).split()
    frames = [
        one
        for one in variables
        if is_real(one.dtype) and len(one.shape) > 1 and sum(length != 1 for length in one.shape) > 1
        and one.name not in others
    ]  # fmt: skip
    if name is not None:
        wanted = name.strip("/")
        within = [one for one in frames if one.name.startswith(f"{wanted}/")]
        for found in ([one for one in variables if one.name == wanted], within):
            if len(found) == 1:
                return found[0]
        names = {alias: one.name for one in frames for alias in (one.name.rsplit("/")[-1], one.name)}
        near = dict.fromkeys(names[alias] for alias in difflib.get_close_matches(wanted, names, 4, 0.5))
        near = near or dict.fromkeys(one.name for one in within or frames)
        raise ImageFileError(path, f"has no variable {name}; it has {_list_names(list(near))}")
    if len(frames) == 1:
        return frames[0]
    if not frames:
        raise ImageFileError(path, "holds no variable of numbers with two axes or more, and so no frames")
    said = [f"{one.name} ({_describe_axes(one)})" for one in frames]
    raise ImageFileError(path, f"holds {_list_names(said)}; name one, as {path.name}:{frames[0].name}")


def _list_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more or "none"


def decode(values: Numbers, attributes: Mapping[str, object]) -> Numbers:
    """Decode stored numbers by the conventions CF and ODIM; NaN where they are missing."""
    unsigned = _decode_text(attributes.get("_Unsigned")).lower()
    if unsigned in ("true", "false") and is_integer(values.dtype):
        values = values.view(f"{values.dtype.byteorder}{'u' if unsigned == 'true' else 'i'}{values.dtype.itemsize}")
    scale = _read_number(attributes, "scale_factor", "gain")
    offset = _read_number(attributes, "add_offset", "offset" if "gain" in attributes else "add_offset")
    if scale == 0:
        raise ValueError("its scale is 0, wanted another number")
    fills = [number for key in ("_FillValue", "missing_value", "nodata") for number in _read_numbers(attributes, key)]
    if is_float(values.dtype):
        fills.append(_NEVER_WRITTEN)
    missing = np.zeros(values.shape, bool)
    for number in fills:
        missing |= _equals(values, number)
    low, high, of_stored = _read_valid_range(attributes, values.dtype)
    undetected = np.zeros(values.shape, bool)
    for number in _read_numbers(attributes, "undetect"):
        undetected |= _equals(values, number) & ~missing
    said = fills if not is_float(values.dtype) else []
    changed = scale is not None or offset is not None or (low, high) != (-np.inf, np.inf)
    if not (said or changed or undetected.any() or missing.any()):
        return values
    if of_stored:
        missing |= ~((values >= low) & (values <= high))
    if undetected.any():
        # Too little to detect: the lowest code of the type, or else the lowest value that was detected.
        detected = values[~(missing | undetected)]
        values = np.where(undetected, 0 if values.dtype.kind == "u" or not detected.size else detected.min(), values)
    kind = np.float32 if values.dtype.itemsize < 4 or values.dtype == np.float32 else np.float64
    image = values.astype(np.float64) * (1.0 if scale is None else scale) + (offset or 0.0)
    if not of_stored:
        missing |= ~((image >= low) & (image <= high))
    image[missing] = np.nan
    return image.astype(values.dtype if is_float(values.dtype) else kind)


def _read_valid_range(attributes: Mapping[str, object], stored: np.dtype[np.generic]) -> tuple[float, float, bool]:
    """Return the bounds, and whether they apply to the stored numbers or to the decoded ones."""
    both = _read_numbers(attributes, "valid_range")
    low = both[:1] or _read_numbers(attributes, "valid_min") or [-np.inf]
    high = both[1:2] or _read_numbers(attributes, "valid_max") or [np.inf]
    found = [attributes[key] for key in ("valid_range", "valid_min", "valid_max") if key in attributes]
    of_stored = all(np.asarray(bound).dtype.kind == stored.kind or is_float(stored) for bound in found)
    if of_stored and stored.kind == "u":  # old files store bounds of unsigned numbers as signed ones
        low, high = [number + 2.0 ** (8 * stored.itemsize) * (number < 0) for number in (low[0], high[0])], []
        low, high = low[:1], low[1:]
    return float(low[0]), float(high[0]), of_stored


def _equals(values: Numbers, number: float) -> npt.NDArray[np.bool_]:
    """Return which stored numbers equal a number, as precisely as their type can hold it."""
    if is_float(values.dtype):
        with np.errstate(over="ignore"):
            return np.asarray(values == values.dtype.type(number))
    if values.dtype.kind == "u" and number < 0:  # the same bits, written as a signed number
        number += 2.0 ** (8 * values.dtype.itemsize)
    return np.asarray(values == number)


def _read_number(attributes: Mapping[str, object], *names: str) -> float | None:
    """Return the number in the first of these attributes that exists, or None.

    Raises
    ------
    ValueError
        If it is not one finite number, as the stored numbers have no known meaning then.
    """
    for name in names:
        if name in attributes:
            found = set(_read_numbers(attributes, name))
            if len(found) != 1 or not np.isfinite(number := found.pop()):
                raise ValueError(f"its {name} is {_decode_text(attributes[name])}, wanted one finite number")
            return number
    return None


def _read_numbers(attributes: Mapping[str, object], name: str) -> list[float]:
    """Return the numbers of an attribute, which may be text."""
    if name not in attributes:
        return []
    value = np.ravel(np.asarray(attributes[name]))
    if is_real(value.dtype):
        return [float(number) for number in value]
    text = _decode_text(attributes[name])
    try:
        return [float(text)]
    except ValueError:
        pass
    try:  # as xarray writes a number into the attributes of a Zarr array
        return list(struct.unpack("<d", base64.standard_b64decode(text)))
    except (ValueError, struct.error):
        return []


def _decode_text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
