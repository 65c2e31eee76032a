"""Flows as other libraries lay them out. The page "Conventions" of the documentation compares them.

A flow with NaN is refused for libraries that have no mark for unknown pixels (ITK, PyTorch's grids, pysteps).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import FLOWS, as_numbers, mark_where_any
from variflow.base.choices import check_flag, check_pair, check_whole
from variflow.base.types import ArrayLike, Numbers
from variflow.flowops.fields import Flow, check_flow, check_known

Spacing = tuple[float, float]  # the size of a pixel along x and along y


def to_skimage(flow: ArrayLike) -> NDArray[np.float32]:
    """Return a flow as scikit-image has it: ``(2, H, W)``, the displacement along rows first.

    Parameters
    ----------
    flow : (H, W, 2) array

    Returns
    -------
    (2, H, W) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_skimage(np.array([[[1.0, 2.0]]])).ravel().tolist()
    [2.0, 1.0]
    """
    return np.ascontiguousarray(np.moveaxis(check_flow(flow)[..., ::-1], 2, 0))


def from_skimage(flow: ArrayLike) -> Flow:
    """Return a flow of scikit-image, ``(2, H, W)`` with the displacement along rows first, as ours.

    Parameters
    ----------
    flow : (2, H, W) array

    Returns
    -------
    (H, W, 2) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.from_skimage(np.array([[[2.0]], [[1.0]]]))[0, 0]
    array([1., 2.], dtype=float32)
    """
    return check_flow(_move_components_last(flow)[..., ::-1])


def to_opencv(flow: ArrayLike) -> NDArray[np.float32]:
    """Return a flow as OpenCV has it (``CV_32FC2``): the same as ours, float32 and contiguous.

    Parameters
    ----------
    flow : (H, W, 2) array

    Returns
    -------
    (H, W, 2) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_opencv(np.array([[[1.0, 2.0]]]))[0, 0]
    array([1., 2.], dtype=float32)
    """
    return check_flow(flow)


def from_opencv(flow: ArrayLike) -> Flow:
    """Return a flow of OpenCV as ours, unknown where a component is beyond 1e9, OpenCV's mark in ``.flo`` files.

    Parameters
    ----------
    flow : (H, W, 2) array

    Returns
    -------
    (H, W, 2) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.from_opencv(np.array([[[1.6666666e9, 2.0]]]))[0, 0]
    array([nan, nan], dtype=float32)
    """
    ours = check_flow(flow)
    with np.errstate(invalid="ignore"):
        ours[mark_where_any(np.abs(ours) > 1e9)] = np.nan
    return ours


def to_torch(flow: ArrayLike) -> NDArray[np.float32]:
    """Return a flow as torchvision and most networks have it: ``(2, H, W)``, u first; ``torch.from_numpy`` takes it.

    Parameters
    ----------
    flow : (H, W, 2) array

    Returns
    -------
    (2, H, W) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_torch(np.array([[[1.0, 2.0]]])).ravel().tolist()
    [1.0, 2.0]
    """
    return np.ascontiguousarray(np.moveaxis(check_flow(flow), 2, 0))


def from_torch(flow: ArrayLike) -> Flow:
    """Return a flow ``(2, H, W)``, u first, as ours; a tensor must be on the CPU and detached.

    Parameters
    ----------
    flow : (2, H, W) array or tensor

    Returns
    -------
    (H, W, 2) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.from_torch(np.array([[[1.0]], [[2.0]]]))[0, 0]
    array([1., 2.], dtype=float32)
    """
    return check_flow(_move_components_last(flow))


def to_torch_grid(flow: ArrayLike, *, align_corners: bool = False) -> NDArray[np.float32]:
    """Return where each pixel looks, as ``torch.nn.functional.grid_sample`` wants it.

    ``grid_sample(second, grid, padding_mode="border", align_corners=...)`` is then ``warp(second, flow, "bilinear")``.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, known everywhere.
    align_corners : bool
        As given to ``grid_sample``: whether -1 and 1 are the centres of the outermost pixels, or their outer edges.

    Returns
    -------
    (1, H, W, 2) float32
        Positions ``(x, y)`` in units of half the frame.

    Raises
    ------
    ValueError
        If the flow is unknown somewhere, or if corners are aligned in a frame one pixel wide, which has no such units.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_torch_grid(np.zeros((1, 4, 2)))[0, 0, :, 0].tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    ours = check_known(check_flow(flow))
    size, offset = _measure_grid(ours.shape[:2], align_corners)
    grid = (ours.astype(float) + _make_positions(ours.shape[:2]) + offset) * 2 / size - 1
    return grid[None].astype(np.float32)


def from_torch_grid(grid: ArrayLike, *, align_corners: bool = False) -> Flow:
    """Return the flow that a grid of ``torch.nn.functional.grid_sample`` stands for.

    Parameters
    ----------
    grid : (1, H, W, 2) or (H, W, 2) array
        Positions ``(x, y)`` in units of half the frame, for an input of the size of the output.
    align_corners : bool
        As given to ``grid_sample``.

    Returns
    -------
    (H, W, 2) float32
        ``(u, v)`` in pixels.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((2, 4, 2), 0.5)
    >>> bool(np.allclose(flowops.from_torch_grid(flowops.to_torch_grid(flow)), flow))
    True
    """
    array = as_numbers(grid, "grid", file=FLOWS)
    positions = check_flow(array[0] if array.ndim == 4 and len(array) == 1 else array, "grid")
    size, offset = _measure_grid(positions.shape[:2], align_corners)
    return check_flow((positions.astype(float) + 1) * size / 2 - offset - _make_positions(positions.shape[:2]))


def to_itk(
    flow: ArrayLike, *, spacing: Spacing = (1.0, 1.0), direction: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return a flow as a displacement field of ITK: ``(x, y)`` in physical units, double precision.

    ``SimpleITK.GetImageFromArray(field, isVector=True)``, given the geometry of the frames (``CopyInformation``), makes
    the ``DisplacementFieldTransform`` that resamples the second frame, the moving one, onto the first, the fixed one.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, known everywhere.
    spacing : (float, float)
        Size of a pixel along x and along y, above 0; ``image.GetSpacing()``.
    direction : (2, 2) array or its 4 numbers, optional
        The image's direction cosines, ``image.GetDirection()``; by default the identity.

    Returns
    -------
    (H, W, 2) float64

    Raises
    ------
    ValueError
        If the flow is unknown somewhere, or the geometry is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_itk(np.ones((1, 1, 2)), spacing=(0.5, 2.0)).ravel().tolist()
    [0.5, 2.0]
    """
    return np.asarray(check_known(check_flow(flow)) @ _check_geometry(spacing, direction).T)


def from_itk(field: ArrayLike, *, spacing: Spacing = (1.0, 1.0), direction: ArrayLike | None = None) -> Flow:
    """Return a displacement field of ITK as a flow in pixels.

    Parameters
    ----------
    field : (H, W, 2) array
        ``SimpleITK.GetArrayFromImage(image)`` of a field of vectors ``(x, y)`` in physical units.
    spacing : (float, float)
        Size of a pixel along x and along y, above 0; ``image.GetSpacing()``.
    direction : (2, 2) array or its 4 numbers, optional
        The image's direction cosines, ``image.GetDirection()``; by default the identity.

    Returns
    -------
    (H, W, 2) float32

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit, or the geometry is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.from_itk(np.ones((1, 1, 2)), spacing=(0.5, 2.0))[0, 0]
    array([2. , 0.5], dtype=float32)
    """
    vectors = check_flow(field, "field").astype(float)
    return check_flow(vectors @ np.linalg.inv(_check_geometry(spacing, direction)).T)


def to_pysteps(flow: ArrayLike) -> NDArray[np.float64]:
    """Return a flow as a motion field of pysteps: ``(2, H, W)``, u first, pixels per time step, double precision.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, known everywhere.

    Returns
    -------
    (2, H, W) float64

    Raises
    ------
    ValueError
        If the flow is unknown somewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_pysteps(np.array([[[1.0, 2.0]]])).ravel().tolist()
    [1.0, 2.0]
    """
    return to_torch(check_known(check_flow(flow))).astype(np.float64)


def from_pysteps(velocity: ArrayLike) -> Flow:
    """Return a motion field of pysteps, ``(2, H, W)`` with u first, as ours.

    Parameters
    ----------
    velocity : (2, H, W) array

    Returns
    -------
    (H, W, 2) float32

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.from_pysteps(np.array([[[1.0]], [[2.0]]]))[0, 0]
    array([1., 2.], dtype=float32)
    """
    return check_flow(_move_components_last(velocity, "velocity"))


def to_napari(flow: ArrayLike, step: int = 8) -> NDArray[np.float32]:
    """Return a flow as vectors that napari draws: ``viewer.add_vectors(to_napari(flow))``.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels; where it is unknown there is no vector.
    step : int
        A vector is drawn at every `step`-th pixel along x and y; at least 1.

    Returns
    -------
    (N, 2, 2) float32
        For each vector its place ``(row, column)`` and its displacement ``(along rows, along columns)``.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.to_napari(np.ones((16, 24, 2)) * (3, 1))[5].tolist()
    [[8.0, 16.0], [1.0, 3.0]]
    """
    check_whole("step", step, 1)
    ours = check_flow(flow)
    places = np.stack([_make_positions(ours.shape[:2]), ours], axis=2)[::step, ::step, :, ::-1]
    vectors: NDArray[np.float32] = places[~np.isnan(places).any(axis=(2, 3))].astype(np.float32)
    return vectors


def _move_components_last(flow: ArrayLike, name: str = "flow") -> Numbers:
    """Return ``(2, H, W)`` as ``(H, W, 2)``."""
    array = as_numbers(flow, name, file=FLOWS)
    if array.ndim != 3 or array.shape[0] != 2 or 0 in array.shape:
        hint = f"; components come first: np.moveaxis({name}, 2, 0)" if array.ndim == 3 and array.shape[2] == 2 else ""
        raise ValueError(f"{name} has shape {array.shape}, wanted (2, H, W){hint}")
    return np.moveaxis(array, 0, 2)


def _make_positions(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return ``(x, y)`` of each pixel, (H, W, 2)."""
    y, x = np.indices(shape, np.float32)
    return np.stack([x, y], axis=2)


def _measure_grid(shape: tuple[int, ...], align_corners: bool) -> tuple[NDArray[np.float64], float]:
    """Return how many pixels the grid's -1 to 1 spans along x and y, and where in it the first pixel's centre is."""
    size = np.array(shape[::-1], float) - check_flag("align_corners", align_corners)
    if 0 in size:
        raise ValueError(f"align_corners is True, wanted False for a frame of {shape}: one pixel has no two corners")
    return size, 0.0 if align_corners else 0.5


def _check_geometry(spacing: Spacing, direction: ArrayLike | None) -> NDArray[np.float64]:
    """Return the matrix that takes pixels to physical units."""
    sizes = np.array(check_pair("spacing", spacing, "two sizes of a pixel, along x and along y", above=0))
    cosines = np.eye(2) if direction is None else as_numbers(direction, "direction").astype(float)
    if cosines.size != 4:
        raise ValueError(f"direction has shape {cosines.shape}, not a geometry of two dimensions; wanted (2, 2)")
    matrix = cosines.reshape(2, 2)
    if not (np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-12):
        raise ValueError(f"direction is {matrix.tolist()}, wanted the 4 numbers of a regular matrix")
    return np.asarray(matrix * sizes)
