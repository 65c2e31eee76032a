"""Resize the arrays of the frames' size that a term holds to a level of the pyramid."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from variflow import flowops
from variflow.base.kinds import is_float, is_like_array, is_number
from variflow.base.types import Array, Numbers
from variflow.energy.autodiff.fingerprint import list_attributes
from variflow.energy.edges import ImageEdges
from variflow.energy.penalties import Penalty
from variflow.energy.term import Term, is_of_the_library
from variflow.images.resampling import resample
from variflow.unknowns.unknowns import Unknowns

Shape = tuple[int, int]

# Most of what a term holds is of these types. To know them first saves time.
_PLAIN = frozenset({float, int, bool, str, type(None)})
# What holds further values in its attributes.
_HOLDERS = Term | Penalty | ImageEdges


def bring_to_level(energy: Any, shapes: Sequence[Shape], index: int) -> Any:
    """Return an energy or unknowns as they are at a level of a pyramid, or themselves if nothing changes.

    Arrays that they hold are resized to the level if their height and width are those of the frames. ``(H, W, 2)``
    is a flow, whose displacements become those in pixels of the level. Any other, ``(..., H, W)`` or ``(H, W, C)``, is
    a picture. Whole numbers and truth values are those of the nearest pixel; NaN is unknown. Other arrays stay.

    Parameters
    ----------
    energy : callable or Unknowns
        A term, a function or unknowns; arrays that a function holds stay as they are.
    shapes : sequence of (height, width)
        The sizes of all levels; the first is that of the frames.
    index : int
        Which level.

    Raises
    ------
    ValueError
        If an array has masked values or the size of a level other than the finest, or one that a term of the library
        holds has any other size than the frames; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.energy import Charbonnier, Smoothness
    >>> sizes = (4, 6), (2, 3)
    >>> bring_to_level(Smoothness(Charbonnier(np.full((4, 6), 0.5))), sizes, 1).penalty.epsilon.shape
    (2, 3)
    """
    return _bring(energy, shapes, index, "unknowns" if isinstance(energy, Unknowns) else "energy")


def find_shape(energy: object) -> Shape | None:
    """Return the height and width of the first array that a term holds and that looks like one of the frames' size."""
    for _, array in list_arrays(energy):
        if len(shape := tuple(array.shape)) >= 2:
            height, width = shape[:2] if len(shape) == 3 and shape[2] <= 4 else shape[-2:]
            if min(height, width) > 4:  # not a small matrix or a list of points
                return height, width
    return None


def is_fixed(energy: object) -> bool:
    """Return whether an energy is of the library's own terms and penalties, and holds no arrays: it never changes."""
    return all(
        is_of_the_library(value) if isinstance(value, _HOLDERS) else type(value) is tuple for _, value in _walk(energy)
    )


def list_arrays(energy: object) -> Iterator[tuple[str, Array]]:
    """Find the arrays that the terms of an energy hold, with names such as "prior of PriorFlow"."""
    for name, value in _walk(energy):
        held = isinstance(value, _HOLDERS) or type(value) in (tuple, list, dict)
        if not held and is_like_array(value) and hasattr(value, "shape"):
            yield name, value


def _walk(energy: object) -> Iterator[tuple[str, Any]]:
    """Find an energy and all that it holds, but plain numbers and the like, with names."""
    values: list[tuple[str, Any]] = [("energy", energy)]
    while values:
        name, value = values.pop(0)
        yield name, value
        if isinstance(value, _HOLDERS):
            values += [
                (f"{field} of {type(value).__name__}", held)
                for field, held in list_attributes(value).items()
                if type(held) not in _PLAIN
            ]
        elif type(value) in (tuple, list, dict):
            values += [(name, held) for held in (value.values() if isinstance(value, dict) else value)]


def _bring(value: Any, shapes: Sequence[Shape], index: int, name: str) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Term | Penalty | ImageEdges | Unknowns):
        inside = list_attributes(value)
        if is_of_the_library(value):  # whose arrays all have a value for each pixel
            _check_sizes(value, inside, shapes[0])
        changed = {
            field: new
            for field, old in inside.items()
            if (new := _bring(old, shapes, index, f"{field} of {type(value).__name__}")) is not old
        }
        if changed:
            value = copy.copy(value)
            for field, new in changed.items():
                object.__setattr__(value, field, new)
        return value
    if type(value) in (tuple, list):
        items = [_bring(item, shapes, index, name) for item in value]
        return type(value)(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if type(value) is dict:
        held = {key: _bring(item, shapes, index, f"{name}[{key!r}]") for key, item in value.items()}
        return held if any(held[key] is not value[key] for key in value) else value
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise ValueError(
                f"{name} is an array of shape {value.shape} with masked values, wanted one without: fill it, as by "
                ".filled(0), and multiply the residuals by 0 where it was masked"
            )
        value = value.data  # JAX refuses such arrays, whether masked or not
    if is_like_array(value) and len(getattr(value, "shape", ())) >= 2:
        return _bring_array(value, shapes, index, name)
    return value


def _check_sizes(holder: object, inside: dict[str, Any], shape: Shape) -> None:
    """Raise ValueError if an array among the attributes of a term or a penalty is not of the frames' size."""
    for field, value in inside.items():
        had = tuple(getattr(value, "shape", ()))
        if len(had) >= 2 and had.count(1) < len(had) and shape not in (had[:2], had[-2:]):
            raise ValueError(
                f"{field} of {type(holder).__name__} has shape {had}, wanted that of the frames, {(*shape, *had[2:])}"
            )


def _bring_array(value: Array, shapes: Sequence[Shape], index: int, name: str) -> Array:
    front, back = tuple(value.shape[:2]), tuple(value.shape[-2:])
    if shapes[0] not in (front, back):
        for level, shape in enumerate(shapes):
            if shape in (front, back):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, the size of level {level} of the pyramid, wanted that of "
                    f"the frames, {shapes[0]}, which is brought to every level"
                )
        return value
    if index == 0:
        return value
    array, (height, width) = np.asarray(value), shapes[index]
    if front == shapes[0] and array.shape[2:] == (2,) and is_number(array.dtype):
        return flowops.resize(array, (height, width))
    if back == shapes[0]:
        return _resize(array.reshape(-1, *back), (height, width)).reshape(*array.shape[:-2], height, width)
    planes = np.moveaxis(array.reshape(*front, -1), 2, 0)
    return np.moveaxis(_resize(planes, (height, width)), 0, 2).reshape(height, width, *array.shape[2:])


def _resize(planes: Numbers, shape: Shape) -> Numbers:
    """Bring planes (K, H, W) to another size; a pixel is unknown if less than half of its area is known."""
    if not is_float(planes.dtype):
        rows, columns = (
            ((np.arange(new) + 0.5) * (old / new)).astype(int) for old, new in zip(planes.shape[1:], shape, strict=True)
        )
        return planes[:, rows[:, None], columns]
    known = np.isfinite(planes)
    new = resample(np.where(known, planes, 0).astype(np.float32), shape, kernel="linear")
    if known.all():
        return new
    share = resample(known.astype(np.float32), shape, kernel="linear")
    share[share < 0.5] = np.nan
    return new / share
