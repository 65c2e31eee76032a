"""Read and write flows of every format: the content of a file says what to read, its name what to write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow, mark_unknown, mark_where_any
from variflow.io import exr, extras, flo, flo5, kitti, npy, npz, pfm, tiff, zarr_array
from variflow.io.atomic import find_destination, find_folder_destination
from variflow.io.errors import FlowFileError, explain_errors
from variflow.io.paths import check_path


class _Format(Protocol):
    """A flow format is a module with these, entered in the table below.

    A module that needs a library of an extra names it as ``EXTRA``.
    """

    @property
    def EXTENSIONS(self) -> tuple[str, ...]: ...
    @property
    def MAGICS(self) -> tuple[bytes, ...]: ...

    def read(self, path: Path) -> npt.NDArray[np.float32]:
        """Read a flow (H, W, 2) from an existing file: in pixels, NaN in both components where it is unknown.

        Raises
        ------
        FlowFileError
            If the file is damaged, or holds no flow.
        """

    def write(self, path: Path, flow: npt.NDArray[np.float32]) -> None:
        """Write a flow (H, W, 2), finite or NaN in both components, through `variflow.io.atomic`."""


_FORMATS: tuple[_Format, ...] = (flo, kitti, pfm, flo5, npy, npz, tiff, exr, zarr_array)
_BY_EXTENSION = {extension: known for known in _FORMATS for extension in known.EXTENSIONS}
EXTENSIONS = tuple(_BY_EXTENSION)
_LONGEST_MAGIC = max(len(magic) for known in _FORMATS for magic in known.MAGICS)


def read_flow(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Read a flow; the content of the file says the format.

    Known are ``.flo``, the 16-bit PNG of KITTI, ``.pfm``, HDF5 (``.flo5``), NumPy's ``.npy`` and ``.npz``, TIFF of two
    float planes, OpenEXR and Zarr arrays. The name may have any extension but that of another flow format.

    Parameters
    ----------
    path : str or os.PathLike
        The file, or the folder of a Zarr array.

    Returns
    -------
    flow : float32 (H, W, 2)
        Displacement (u, v) along x (right) and y (down) in pixels, from the first frame to the second; NaN in both
        components where the file says that it is unknown.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FlowFileError
        If it is no flow, or not what its header says: another extension than its content, wrong sizes, truncated,
        trailing data. No memory is taken before the sizes are checked.
    ImportError
        If the format needs a library that is not installed; the message says which extra brings it.

    See Also
    --------
    write_flow : The other way.

    Examples
    --------
    >>> import tempfile
    >>> name = Path(tempfile.mkdtemp()) / "right.flo"
    >>> write_flow(name, np.full((2, 3, 2), [1.5, 0.0]))
    >>> read_flow(name)[0, 0]
    array([1.5, 0. ], dtype=float32)
    """
    check_path(path)
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    with explain_errors(path, FlowFileError, "cannot be read"):
        return _identify_format(file).read(file)


def write_flow(path: str | os.PathLike[str], flow: npt.ArrayLike) -> None:
    """Write a flow; the extension of the name says the format.

    Known are ``.flo``, ``.png`` (as KITTI: 16 bits, rounded to 1/64 px), ``.pfm``, ``.flo5``, ``.h5`` and ``.hdf5``
    (as Spring), ``.npy``, ``.npz``, ``.tif`` and ``.tiff``, ``.exr``, ``.zarr``. All but PNG keep float32 exactly. The
    file appears complete or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file; an existing one is replaced.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels, of any real type, stored as float32. NaN in either component means unknown.

    Raises
    ------
    FlowFileError
        If the extension is unknown, or `path` is a folder that holds something else than a Zarr array.
    TypeError, ValueError
        If `flow` is not an array of real numbers of that shape, or holds a displacement that the format cannot.
    ImportError
        If the format needs a library that is not installed; the message says which extra brings it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_flow(f"{folder}/flow.flo", np.full((2, 3, 2), 0.25))
    ...     read_flow(f"{folder}/flow.flo").shape
    (2, 3, 2)
    """
    check_path(path, flow=flow)
    known = _choose_format(path)
    single = as_flow(flow)
    infinite = mark_where_any(np.isinf(single))
    if infinite.any():
        count = int(infinite.sum())
        raise ValueError(f"flow is infinite or beyond float32 at {count} pixels, wanted finite numbers or NaN")
    known.write(Path(path), mark_unknown(single))


def check_flow_path(path: str | os.PathLike[str]) -> None:
    """Raise the error of `write_flow` if it cannot write to this path; for a check before long work."""
    _choose_format(path)


def _identify_format(path: Path) -> _Format:
    """Return the format of the content; raise if the name says another one."""
    named = _BY_EXTENSION.get(path.suffix.lower())
    start = b""
    if path.is_dir():
        if not zarr_array.is_zarr(path):
            raise FlowFileError(path, "not a file, and not the folder of a Zarr array")
        found: _Format | None = zarr_array
    elif path.is_file():
        with path.open("rb") as file:
            start = file.read(_LONGEST_MAGIC)
        found = next((known for known in _FORMATS if start.startswith(known.MAGICS)), None)
    else:
        raise FlowFileError(path, "not a file")
    if found is not None and named in (None, found):
        return found
    if path.is_file() and not start:
        raise FlowFileError(path, "truncated: the file is empty")
    if named is None:
        raise FlowFileError(path, f"begins like no flow file that is known; {describe_extensions(path)}")
    said = f"its content is that of {found.EXTENSIONS[0]}" if found is not None else f"it begins with {start!r}"
    fault = "truncated" if found is None and len(start) < _LONGEST_MAGIC else f"not a {path.suffix.lower()} file"
    raise FlowFileError(path, f"{fault}: {said}")


def _choose_format(path: str | os.PathLike[str]) -> _Format:
    check_path(path)
    known = _BY_EXTENSION.get(Path(path).suffix.lower())
    if known is None:
        raise FlowFileError(path, describe_extensions(Path(path)))
    module = getattr(known, "EXTRA", None)
    if module is not None:
        extras.check_installed(module)
    if known is zarr_array:
        find_folder_destination(path)
        zarr_array.check_replaceable(Path(path))
    else:
        find_destination(path)
    return known


def describe_extensions(path: Path, known: Iterable[str] = EXTENSIONS) -> str:
    """Return what to say of a path without an extension that is known."""
    extension = path.suffix.lower()
    said = f"{extension!r} is no extension of a flow file" if extension else "the name has no extension"
    return f"{said}; known are {', '.join(known)}"
