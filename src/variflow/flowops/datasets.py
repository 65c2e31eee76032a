"""The flow in a Dataset of a field, such as one that was read from the file of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.io.fields.dataset import MASKED, REJECTED, check_fields, get_mask, measure_pixel, turn

if TYPE_CHECKING:
    import xarray


def from_xarray(dataset: xarray.Dataset) -> NDArray[np.float32]:
    """Return the flow of a field: in pixels, v down, the uppermost row first.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `variflow.io.read_fields` returns it: ``u`` and ``v`` along the axes ``y`` and ``x``, and the attribute
        ``y_axis``. Where ``u`` is not in pixels, the attributes ``pixel_size`` and ``dt`` say what a pixel is.

    Returns
    -------
    (H, W, 2) float32
        ``(u, v)`` in pixels of the frames, a vector for each place of the Dataset; NaN where it is missing, masked or
        rejected.

    Raises
    ------
    TypeError, ValueError
        If the Dataset is none of a field, or its unit is unknown.

    See Also
    --------
    variflow.io.read_fields : Reads such a Dataset.

    Examples
    --------
    >>> import xarray
    >>> from variflow import flowops
    >>> v = (("y", "x"), [[3.0, 6.0]], {"units": "mm s-1"})
    >>> attributes = {"y_axis": "up", "pixel_size": 0.5, "dt": 0.1}
    >>> field = xarray.Dataset({"u": v, "v": v}, {"x": [0, 0.5], "y": [0.0]}, attributes)
    >>> flowops.from_xarray(field).round(3).tolist()
    [[[0.6000000238418579, -0.6000000238418579], [1.2000000476837158, -1.2000000476837158]]]
    """
    checked = turn(check_fields(dataset), "down").sortby(["y", "x"])
    flow = np.stack([checked[name].values for name in ("u", "v")], axis=2) / measure_pixel(checked)
    flow[np.isin(get_mask(checked), (MASKED, REJECTED)) | np.isnan(flow).any(axis=2)] = np.nan
    return flow.astype(np.float32)
