"""Fill in what is unknown in a flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.arrays import as_pixels
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow, check_finite, check_flow

# The weight that ties a known pixel to its value; the edge to a neighbour has a weight of at most 1.
_TIE = 1e4
# The solver stops when the error is this share of the error at the start, or after this many cycles.
_TOLERANCE, _CYCLES = 1e-6, 100
# The least weight of an edge, so that a region inside an outline still gets its flow from outside.
_LEAST_EDGE = 1e-4


def fill(flow: ArrayLike, image: ArrayLike | None = None, *, contrast: float = 5.0) -> Flow:
    """Fill in what is unknown in a flow, smoothly from what is known around it, and not across edges of an image.

    The filled flow minimises the sum of ``w |difference|^2`` over all pairs of neighbours, while the known flow stays
    as it is. The weight ``w`` is 1, or with an image ``exp(-|difference in the image| / contrast)``, at least 0.0001.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    image : (H, W) or (H, W, C) array, optional
        The first frame, of any real type; its smallest value is black and its largest white. Three channels are red,
        green and blue. Missing pixels (NaN) are filled from those around them. Without an image, the flow is filled
        alike in all directions.
    contrast : float
        The difference of neighbours, in units of CIE Lab (black to white is 100), at which they count 1/e; typically 2
        to 20. Larger follows fewer edges.

    Returns
    -------
    (H, W, 2) float32
        Known everywhere.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, or if nothing is known.

    References
    ----------
    A. Levin, D. Lischinski and Y. Weiss, Colorization using optimization, SIGGRAPH 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((1, 5, 2), np.nan); flow[0, 0] = 0; flow[0, 4] = 8
    >>> flowops.fill(flow)[0, :, 0].round(2)
    array([0., 2., 4., 6., 8.], dtype=float32)
    """
    from scipy.ndimage import distance_transform_edt

    given = check_flow(flow)
    check_finite("contrast", contrast, above=0)
    unknown = np.isnan(given[..., 0])
    edges = np.ones((2, *unknown.shape), np.float32) if image is None else _weigh_edges(image, unknown.shape, contrast)
    if not unknown.any():
        return given
    if unknown.all():
        raise ValueError("flow is unknown everywhere, wanted at least one known pixel")
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    u, v = np.ascontiguousarray(np.moveaxis(given[tuple(nearest)], 2, 0))
    tensor = np.zeros((5, *unknown.shape), np.float32)
    tensor[0] = tensor[2] = np.where(unknown, 0, np.float32(_TIE))
    u, v = _core.multigrid(tensor, edges, u, v, u, v, _CYCLES, _TOLERANCE)
    return np.where(unknown[..., None], np.stack([u, v], axis=2), given)


def _weigh_edges(image: ArrayLike, shape: tuple[int, ...], contrast: float) -> NDArray[np.float32]:
    """Return the weights of the edges to the right and below of each pixel."""
    from variflow.images.color import to_lab
    from variflow.images.filling import fill_missing

    planes = np.moveaxis(np.atleast_3d(as_pixels(image, "image", shape).astype(np.float64)), 2, 0)
    present = np.asarray(np.isfinite(planes).all(axis=0))
    if not present.any():
        raise ValueError("image has no usable pixel: all are NaN, infinite or masked")
    low, high = planes[:, present].min(), planes[:, present].max()
    with np.errstate(invalid="ignore", over="ignore"):  # missing pixels, which are filled below
        scaled = ((planes - low) / (high - low if high > low else 1)).astype(np.float32)
    scaled = fill_missing(scaled, present)
    return _core.image_edges(to_lab(scaled), contrast, _LEAST_EDGE)
