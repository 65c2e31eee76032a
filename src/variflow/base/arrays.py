"""Read the arrays that a caller passes: whatever NumPy can read becomes a plain array, and masked values are missing.

The arrays returned are aligned, C-contiguous and in the byte order of the machine. So the core sees one layout only,
and the layout of the input never changes a result. Every error names the argument.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import DTypeLike, NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.errors import warn
from variflow.base.kinds import is_float, name_kind
from variflow.base.types import ArrayLike, Numbers

MOST_CHANNELS = 16
# A larger weight would swamp the rest of an energy in single precision. If none reaches the least, no pixel counts.
LARGEST_WEIGHT, LEAST_WEIGHT = 1e6, 1e-6

# The kinds of numbers that an argument may hold, as NumPy's letters and in words.
NUMBERS = ("iuf", "real numbers")
INTENSITIES = ("buif", "real numbers (bool, integer or float)")
MARKS = ("bui", "bool")

# What an error says of a path that is passed in place of an array.
IMAGES, FLOWS = "variflow.read_image reads an image", "variflow.read_flow reads a flow"

_CPU = 1  # as DLPack counts devices


@dataclass(frozen=True, eq=False, repr=False)
class Image(Brief):
    """A checked frame, in its own memory.

    Attributes
    ----------
    pixels : (H, W, C) array
        The values as given; masked floats are NaN.
    known : (H, W) bool
        False where an integer was masked; None where there is no mask.
    shape : tuple of int
        The shape as given.
    name : str
        What errors and warnings call it.
    axes : tuple of str
        The names of its axes, if it came with some, as an array of xarray does.
    """

    pixels: Numbers
    known: NDArray[np.bool_] | None
    shape: tuple[int, ...]
    name: str
    axes: tuple[str, ...] = ()


def is_jax(value: ArrayLike) -> bool:
    """Return whether a value is an array of JAX, or what JAX is tracing; without importing it."""
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib")


def read(
    value: ArrayLike, name: str, kind: tuple[str, str] = NUMBERS, file: str = IMAGES
) -> tuple[Numbers, NDArray[np.bool_] | None]:
    """Return a value as an array, and where it is not masked (None if nothing is).

    The array may share memory with the value. `kind` says which numbers are wanted, `file` which function reads a path.

    Raises
    ------
    TypeError
        If the value is not an array of such numbers, naming the argument.
    """
    _refuse_path(value, name, "an array", file)
    try:
        array = _to_numpy(value)
    except Exception as error:
        if "jax" in sys.modules and isinstance(error, sys.modules["jax"].errors.TracerArrayConversionError):
            raise TypeError(
                f"{name} is being traced by JAX (jit, grad, vmap), wanted a concrete array: only energies and "
                "variflow.warp can be traced"
            ) from error
        if _is_elsewhere(value):
            raise TypeError(
                f"{name} is {name_kind(value)} in the memory of another device, wanted an array in that of the CPU: "
                "bring it there first, as .cpu() of PyTorch and .get() of CuPy do"
            ) from error
        raise TypeError(f"{name} is {name_kind(value)} that NumPy cannot read as an array: {error}") from error
    if array.dtype.kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        array = array.astype(np.float32)  # bfloat16 and other small types, which are not NumPy's own
    letters, words = kind
    if array.dtype.kind not in letters:
        if array.dtype == object and array.ndim == 0:
            hint = ", as its .get() returns" if type(value).__name__ == "UMat" else ""  # of OpenCV
            raise TypeError(f"{name} is {name_kind(value)}, wanted an array of {words}{hint}")
        hint = f"; {file}" if array.dtype.kind in "US" or _holds_paths(array) else ""
        raise TypeError(f"{name} has dtype {array.dtype}, wanted {words}{hint}")
    known = None
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        known = ~np.ma.getmaskarray(array)
    if type(array) is np.ndarray and array.flags.carray and array.dtype.isnative:  # true of most, and fast
        return array, known
    return np.require(np.asarray(array), array.dtype.newbyteorder("="), ("C", "A")), known


def _refuse_path(value: ArrayLike, name: str, wanted: str, file: str) -> None:
    if isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name} is the path {os.fspath(value)!r:.200}, wanted {wanted}; {file}")


def _to_numpy(value: ArrayLike) -> Numbers:
    """Return a value as NumPy sees it, a masked array where it can be one."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach()
        if value.dtype is torch.bfloat16:  # which NumPy does not have
            value = value.float()
    elif getattr(value, "__dask_graph__", None) is not None:
        value = value.compute()  # its own way to NumPy forgets the mask
    elif isinstance(value, tuple | list) and any(isinstance(item, np.ma.MaskedArray) for item in value):
        value = np.ma.array(value)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    array: Numbers = np.asanyarray(value)
    if array.dtype == object and hasattr(value, "convert_dtypes"):  # a table of pandas, which marks what is missing
        array = value.to_numpy(np.float64, na_value=np.nan)
    return array


def _is_elsewhere(value: ArrayLike) -> bool:
    """Return whether a value says that it lies in the memory of another device than the CPU."""
    if hasattr(value, "__cuda_array_interface__"):
        return True
    try:
        return bool(value.__dlpack_device__()[0] != _CPU)
    except Exception:  # it has no DLPack, or none for its device
        return False


def _holds_paths(array: Numbers) -> bool:
    return array.dtype == object and array.size > 0 and isinstance(array.flat[0], str | os.PathLike)


def as_numbers(value: ArrayLike, name: str, kind: tuple[str, str] = NUMBERS, file: str = IMAGES) -> Numbers:
    """Return real numbers of any shape, as floats with NaN if any is masked; may share memory with the value."""
    array, known = read(value, name, kind, file)
    return array if known is None else _mark_gaps(array, known)


def _mark_gaps(array: Numbers, known: NDArray[np.bool_]) -> Numbers:
    """Return a copy as floats, NaN where not known."""
    copy = array.astype(array.dtype if is_float(array.dtype) else np.float64)
    copy[~known] = np.nan
    return copy


def as_iterable(values: ArrayLike, name: str, file: str) -> Iterable[ArrayLike]:
    """Return an iterable of arrays, from an iterable or from one array that cannot be iterated over itself.

    Raises
    ------
    TypeError
        If the value is neither, naming the argument.
    """
    _refuse_path(values, name, "arrays", file)
    if isinstance(values, memoryview) or (hasattr(values, "__dlpack__") and not hasattr(values, "__iter__")):
        return as_numbers(values, name, INTENSITIES, file)
    try:
        iter(values)
    except TypeError:
        raise TypeError(f"{name} is {name_kind(values)}, wanted an iterable of arrays") from None
    several: Iterable[ArrayLike] = values
    return several


def count_frame_axes(shape: tuple[int, ...]) -> int:
    """Return how many of the last axes make one frame: 3 if the last axis holds channels (at most 16), else 2."""
    return 3 if len(shape) > 2 and shape[-1] <= MOST_CHANNELS else 2


def refuse_one_frame(frames: object) -> None:
    """Raise ValueError if an array is one frame, not several; other objects may give the shape of a single frame."""
    if not hasattr(frames, "__array__"):  # asking a file for its shape would read a frame
        return
    shape = getattr(frames, "shape", None)
    if not isinstance(shape, tuple) or len(shape) > count_frame_axes(shape):
        return
    what = f"an image of {shape[2]} channels" if len(shape) == 3 else "a gray image"
    raise ValueError(
        f"frames has shape {shape}, which looks like one frame, {what}; wanted several: (T, H, W), (T, H, W, C), or a "
        "list of frames"
    )


def as_image(value: ArrayLike, name: str) -> Image:
    """Return a frame in memory of its own; what is one already keeps its name.

    Raises
    ------
    TypeError, ValueError
        If the value is not a frame, naming the argument.
    """
    if isinstance(value, Image):
        return value
    array, known = read(value, name, INTENSITIES)
    check_frame(array.shape, value, name)
    if known is not None and is_float(array.dtype):
        pixels, known = _mark_gaps(array, known), None
    else:
        pixels = _copy(array)
    where = None if known is None else mark_where_all(np.atleast_3d(known))
    return Image(np.atleast_3d(pixels), where, array.shape, name, name_axes(value))


def name_axes(value: ArrayLike) -> tuple[str, ...]:
    """Return the names of an array's axes, as those of xarray have them; none if it has no such names."""
    axes, shape = getattr(value, "dims", ()), getattr(value, "shape", ())
    return tuple(map(str, axes)) if isinstance(axes, tuple) and len(axes) == len(shape) else ()


def _copy(array: Numbers) -> Numbers:
    """Return a copy in memory of the core, which is recycled: fresh pages would take longer than the copying."""
    memory = _core.allocate_bytes(array.nbytes)
    copied: Numbers = memory.view(array.dtype).reshape(array.shape)
    if array.flags.c_contiguous:
        _core.copy_bytes(array.reshape(-1).view(np.uint8), memory)
    else:
        np.copyto(copied, array)
    return copied


def check_frame(shape: tuple[int, ...], value: ArrayLike, name: str) -> None:
    """Raise ValueError if a shape is not that of one frame; `value` is what the caller passed."""
    if 0 in shape:
        raise ValueError(f"{name} is empty: its shape is {shape}")
    if len(shape) != count_frame_axes(shape):
        wanted = f"wanted (H, W), or (H, W, C) with at most {MOST_CHANNELS} channels"
        first = f"; {_advise_order(value, name, 'channels')}" if len(shape) == 3 and shape[0] <= MOST_CHANNELS else ""
        volume = "; volumes are not supported" if len(shape) in (3, 4) else ""
        raise ValueError(f"{name} has shape {shape}, {wanted}{first}{volume}")


def as_pixels(value: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> Numbers:
    """Return an image, NaN where masked: any number of channels of the size `shape`, or a frame of any size."""
    array = as_numbers(value, name, INTENSITIES)
    if shape is None:
        check_frame(array.shape, value, name)
    elif array.ndim not in (2, 3) or array.shape[:2] != shape or 0 in array.shape:
        hint = f"; {_advise_order(value, name, 'channels')}" if array.ndim == 3 and array.shape[1:] == shape else ""
        raise ValueError(f"{name} has shape {array.shape}, wanted (H, W) or (H, W, C) with (H, W) = {shape}{hint}")
    return array


def as_flow(value: ArrayLike, name: str = "flow", dtype: DTypeLike = np.float32, *, shared: bool = False) -> Numbers:
    """Return a flow ``(H, W, 2)``, NaN where masked, infinite where `dtype` cannot hold it.

    It has its own memory unless it may be `shared` with the value, to be read only.
    """
    array, known = read(value, name, file=FLOWS)
    if array.ndim != 3 or array.shape[2] != 2 or 0 in array.shape:
        hint = f"; {_advise_order(value, name, 'components')}" if array.ndim == 3 and array.shape[0] == 2 else ""
        raise ValueError(f"{name} has shape {array.shape}, wanted (H, W, 2) with at least one pixel{hint}")
    with np.errstate(over="ignore"):
        flow: Numbers = array.astype(dtype, copy=not shared or known is not None)
    if known is not None:
        flow[~mark_where_all(known)] = np.nan
    return flow


def mark_unknown(flow: Numbers) -> Numbers:
    """Set both components of a flow to NaN where either is NaN or infinite, in place; return it.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.base.arrays import mark_unknown
    >>> mark_unknown(np.array([[[1.0, np.inf], [2.0, 3.0]]])).tolist()
    [[[nan, nan], [2.0, 3.0]]]
    """
    flow[~find_known(flow)] = np.nan
    return flow


def find_known(values: Numbers) -> NDArray[np.bool_]:
    """Return where all numbers of a pixel, (..., C), are finite.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.base.arrays import find_known
    >>> find_known(np.array([[1.0, np.inf], [2.0, 3.0]])).tolist()
    [False, True]
    """
    return mark_where_all(np.isfinite(values))


def mark_where_all(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where all marks of a pixel, (..., C), are true; `all` along so short an axis takes many times as long."""
    return reduce(np.logical_and, np.moveaxis(marks, -1, 0))


def mark_where_any(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where any mark of a pixel, (..., C), is true; see `mark_where_all`."""
    return reduce(np.logical_or, np.moveaxis(marks, -1, 0))


def check_same_shape(name: str, shape: tuple[int, ...], other: str, wanted: tuple[int, ...]) -> None:
    """Raise ValueError, naming both, if an argument has not the shape of another one."""
    if shape != wanted:
        raise ValueError(f"{name} has shape {shape}, wanted that of {other}, {wanted}")


def _advise_order(value: ArrayLike, name: str, axis: str) -> str:
    """Say how to bring the first axis to the end."""
    word = name.partition(" ")[0]  # of "frame 7", frame
    array = word if isinstance(value, np.ndarray) else f"np.asarray({word})"
    return f"{axis} come last: np.moveaxis({array}, 0, 2)"


def as_single(value: ArrayLike, name: str, kind: tuple[str, str] = NUMBERS, file: str = IMAGES) -> NDArray[np.float32]:
    """Return real numbers of any shape in single precision, NaN where masked; may share memory with the value."""
    if type(value) is np.ndarray and value.dtype == np.float32 and value.flags.c_contiguous and value.flags.aligned:
        return value
    with np.errstate(over="ignore"):
        return as_numbers(value, name, kind, file).astype(np.float32, copy=False)


def as_mask(
    value: ArrayLike, name: str, shape: tuple[int, ...] | None = None, meaning: str = "where a pixel is usable"
) -> NDArray[np.bool_]:
    """Return a mask in its own memory, False where `numpy.ma` masks it."""
    array, known = read(value, name, (MARKS[0], f"{MARKS[1]}: True {meaning}"))
    _check_shape(array, name, shape)
    mask = array.astype(bool)
    if known is not None:
        mask &= known
    return mask


def as_weights(value: ArrayLike, name: str, shape: tuple[int, ...]) -> Numbers:
    """Return weights from 0 to a million in their own memory, 0 where masked."""
    array, known = read(value, name, INTENSITIES)
    _check_shape(array, name, shape)
    weights: Numbers = array.copy() if known is None else np.where(known, array, array.dtype.type(0))
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"{name} has values that are negative, NaN or infinite, wanted finite ones of at least 0")
    if (weights > LARGEST_WEIGHT).any():
        raise ValueError(f"{name} has values up to {weights.max():g}, wanted at most {LARGEST_WEIGHT:g}")
    return weights


def _check_shape(array: Numbers, name: str, shape: tuple[int, ...] | None) -> None:
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, wanted {shape}")


def as_mask_pair(value: ArrayLike, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Return the masks of both frames, from one array for both or from a pair.

    What hides part of the view, such as a body or the edge of a lens, usually hides it in both frames.
    """
    given = value if _is_pair(value) else (value,)
    first, *rest = (None if item is None else as_mask(item, "mask", shape) for item in given)
    return first, rest[0] if rest else first


def as_weight_pair(value: ArrayLike, shape: tuple[int, ...]) -> tuple[Numbers | None, Numbers | None]:
    """Return the weights of both frames, from one array for the first frame or from a pair.

    The weights of a pixel and of its target are multiplied, so one array for both would count twice.
    """
    given = value if _is_pair(value) else (value, None)
    first, second = (None if item is None else as_weights(item, "weights", shape) for item in given)
    if any(weights is not None and weights.max() < LEAST_WEIGHT for weights in (first, second)):
        warn(f"weights has no value of {LEAST_WEIGHT:g} or more, so the frames do not count: the flow says nothing")
    return first, second


def _is_pair(value: ArrayLike) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and not all(map(_is_row, value))


def _is_row(value: ArrayLike) -> bool:
    try:
        return np.ndim(value) == 1
    except ValueError:  # of rows that are not equally long
        return False
