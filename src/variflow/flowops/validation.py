"""Validate a flow: reject what cannot be right, replace it, and say where that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_mask_pair, as_pixels
from variflow.base.choices import check_number
from variflow.base.errors import warn
from variflow.base.types import ArrayLike
from variflow.flowops.evidence import compare, locate
from variflow.flowops.fields import Flow, check_flow
from variflow.flowops.filling import fill
from variflow.flowops.outliers import find_outliers
from variflow.images.warping import warp
from variflow.io.fields.dataset import (
    MASK_MEANING,
    MASKED,
    MEASURED,
    REJECTED,
    REPLACED,
    check_fields,
    get_mask,
    measure_pixel,
)

if TYPE_CHECKING:
    import xarray

Flags = NDArray[np.int8]
_OWN = ("u", "v", "mask", "confidence", "occlusion", "count")


def validate(
    flow: ArrayLike,
    frame0: ArrayLike | None = None,
    frame1: ArrayLike | None = None,
    *,
    mask: ArrayLike | None = None,
    step: int = 4,
    threshold: float = 2.0,
    least_correlation: float = 0.5,
    worst_precision: float = 0.5,
    replace: bool = True,
) -> tuple[Flow, Flags]:
    """Reject vectors that cannot be right, replace them, and leave out what is masked.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    frame0, frame1 : (H, W) or (H, W, C) array, optional
        The frames. Without them, the flow is compared with itself alone.
    mask : (H, W) array or pair of these, optional
        As for `variflow.estimate`: True where a pixel is usable; one array for both frames, or one for each (or None),
        as of a body that moves. A vector is masked where it begins at a pixel that is not, or ends at one.
    step, threshold : int, float
        Of the normalised median test (see `find_outliers`). On a grid of windows the step is 1.
    least_correlation : float
        Vectors along which the frames agree less are rejected (see `correlation`); from -1, which rejects none, to 1.
        So are those where the second frame shows no more than noise of what the first one clearly shows.
    worst_precision : float
        Vectors of windows that cannot be located so exactly, in pixels, are rejected: there is nothing to measure (see
        `precision`); infinity rejects none. What both frames show along the flow is no noise, however fine it is.
    replace : bool
        Whether rejected vectors are replaced by what the vectors around them say (see `fill`).

    Returns
    -------
    flow : (H, W, 2) float32
        NaN where masked, where the flow was unknown, and where vectors were rejected but not replaced.
    flags : (H, W) int8
        0 where measured, 1 masked or unknown before, 2 replaced, 3 rejected and not replaced: with ``replace=False``,
        and where all are rejected, so that nothing is left to replace them from.

    Warns
    -----
    VariflowWarning
        If more than half of the known vectors are rejected; it says which test did so.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, or one frame is given without the other.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((30, 40, 2), (1.5, -2.0))
    >>> flow[10:13, 20:23] = 9  # wrong
    >>> body = np.zeros((30, 40), bool)
    >>> body[:, :5] = True
    >>> valid, flags = flowops.validate(flow, mask=~body)
    >>> valid[11, 21].round(3).tolist(), flags[11, 21], valid[11, 2].tolist(), flags[11, 2]
    ([1.5, -2.0], np.int8(2), [nan, nan], np.int8(1))
    """
    field = check_flow(flow)
    check_number("least_correlation", least_correlation, least=-1, most=1)
    check_number("worst_precision", worst_precision, above=0, infinite=True)
    if (frame0 is None) != (frame1 is None):
        missing = "frame0" if frame0 is None else "frame1"
        raise ValueError(f"{missing} is missing, wanted both frames or none")
    usable0, usable1 = (None, None) if mask is None else as_mask_pair(mask, field.shape[:2])
    masked = np.isnan(field[..., 0])
    if usable0 is not None:
        masked |= ~usable0
    if usable1 is not None:
        masked |= ~warp(usable1, field, "nearest")
    field[masked] = np.nan
    rejected = {"do not fit those around them": find_outliers(field, step=step, threshold=threshold)}
    if frame0 is not None and frame1 is not None:
        first, second = _leave_out(frame0, "frame0", usable0), _leave_out(frame1, "frame1", usable1)
        agreement, gone, unshared = compare(first, second, field)
        rejected["lie where the frames do not agree along them"] = (agreement < least_correlation) | gone
        noise = locate(first, unshared) > worst_precision
        rejected["lie where frame0 shows noise, or nothing that can be located"] = noise
    return _replace(field, masked, rejected, replace=replace)


def _leave_out(frame: ArrayLike, name: str, usable: NDArray[np.bool_] | None) -> ArrayLike:
    """Return a frame that is NaN where it is not usable."""
    pixels = as_pixels(frame, name)
    if usable is None:
        return pixels
    if pixels.shape[:2] != usable.shape:
        raise ValueError(f"{name} has shape {pixels.shape}, wanted {usable.shape} as flow and mask")
    return np.where(usable.reshape(*usable.shape, *(1,) * (pixels.ndim - 2)), pixels.astype(np.float64), np.nan)


def _replace(
    field: Flow, masked: NDArray[np.bool_], by_test: dict[str, NDArray[np.bool_]], *, replace: bool
) -> tuple[Flow, Flags]:
    """Return the flow without what any test rejected, replaced where wanted, and the flags."""
    rejected = np.logical_or.reduce(list(by_test.values())) & ~masked
    flags = np.select([masked, rejected], [np.int8(MASKED), np.int8(REJECTED)], np.int8(MEASURED))
    field[rejected] = np.nan
    left = np.count_nonzero(flags == MEASURED)
    if replace and rejected.any() and left:
        field[rejected] = fill(field)[rejected]
        flags[rejected] = REPLACED
    if np.count_nonzero(rejected) > left:
        why = max(by_test, key=lambda test: np.count_nonzero(by_test[test] & ~masked))
        many = "more than half of the" if left else "all"
        fate = "" if left or not replace else "; none was left to replace them from"
        warn(f"validate rejected {many} vectors, most of them because they {why}{fate}: see the flags")
    return field, flags


def validate_xarray(
    dataset: xarray.Dataset, *, step: int = 1, threshold: float = 2.0, replace: bool = True
) -> xarray.Dataset:
    """Reject the vectors of a field that do not fit those around them, and replace them.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `variflow.io.read_fields` returns it, in any units that it knows: ``u`` and ``v`` along ``y`` and ``x``.
        Where its ``mask`` is 1, vectors stay masked, and are missing; where it is 3, they are rejected.
    step, threshold : int, float
        Of the normalised median test (see `find_outliers`). The step is 1 on a grid of windows or bins, and about 4 on
        that of the pixels.
    replace : bool
        Whether rejected vectors are replaced by what the vectors around them say (see `fill`).

    Returns
    -------
    xarray.Dataset
        With the new ``u``, ``v`` and ``mask``. Variables that are computed from ``u`` and ``v``, such as the vorticity,
        would no longer fit, and are left out.

    Raises
    ------
    TypeError, ValueError
        If the Dataset is none of a field, or its unit is unknown.

    Examples
    --------
    >>> import numpy as np, xarray
    >>> from variflow import flowops
    >>> u = np.ones((4, 5)); u[1, 2] = 7
    >>> variables = {"u": (("y", "x"), u, {"units": "pixel"}), "v": (("y", "x"), 0 * u)}
    >>> field = xarray.Dataset(variables, {"x": 16.0 * np.arange(5), "y": 16.0 * np.arange(4)}, {"y_axis": "down"})
    >>> valid = flowops.validate_xarray(field)
    >>> float(valid.u[1, 2].round(3)), int(valid["mask"][1, 2])
    (1.0, 2)
    """
    checked = check_fields(dataset)
    scale, before = measure_pixel(checked), get_mask(checked)
    field = check_flow(np.stack([checked[name].values for name in ("u", "v")], axis=2) / scale)
    masked = (before == MASKED) | (np.isnan(field[..., 0]) & (before != REJECTED))
    field[masked | (before == REJECTED)] = np.nan
    rejected = {
        "do not fit those around them": find_outliers(field, step=step, threshold=threshold),
        "had been rejected before": before == REJECTED,
    }
    field, flags = _replace(field, masked, rejected, replace=replace)
    flags[(flags == MEASURED) & (before == REPLACED)] = REPLACED
    kept = checked.drop_vars([name for name in checked.data_vars if name not in _OWN])
    for component, name in enumerate(("u", "v")):
        values = np.where(flags == before, checked[name].values, field[..., component] * scale)
        values[np.isnan(field[..., component])] = np.nan
        kept[name] = (("y", "x"), values.astype(checked[name].dtype), checked[name].attrs)
    kept["mask"] = (("y", "x"), flags, MASK_MEANING)
    return kept
