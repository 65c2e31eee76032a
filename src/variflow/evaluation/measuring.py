"""Measure a flow: errors as the benchmarks define them, over the frame and over parts of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow import metrics
from variflow.base.arrays import MARKS, as_flow, as_mask, find_known, read
from variflow.datasets import Sample

# Parts of a frame that are measured separately. A part is left out if it has no pixels, or the data set does not mark
# it.
REGIONS = ("s0-10", "s10-40", "s40+", "matched", "unmatched", "boundaries", "background", "foreground")
_OF_ALL = ("pixels", "epe", "fl", "angle", "a50", "a75", "a95", "r0.5", "r1", "r2", "r3", "r5", "ie", "ne")
FIGURES = (*_OF_ALL, *(f"{figure}_{region}" for region in REGIONS for figure in ("pixels", "epe", "fl")))


def regions(sample: Sample) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the parts of a sample that are measured separately, and "all", the pixels that count.

    Parameters
    ----------
    sample : Sample
        With truth.

    Returns
    -------
    masks : dict of bool (H, W)
        "all", and those of :data:`REGIONS` that the sample marks: by speed, "matched" (not occluded; Fl-noc of KITTI),
        "unmatched", within 10 px of motion "boundaries", and for KITTI "background" and "foreground".

    Examples
    --------
    >>> from variflow.datasets import synthetic
    >>> parts = regions(synthetic.translation((32, 48), shift=(12.0, 0.0)))
    >>> int(parts["s10-40"].sum()), int(parts["unmatched"].sum())
    (1536, 384)
    """
    truth = as_flow(sample.flow, "sample.flow", np.float64)
    counts = find_known(truth)
    if sample.valid is not None:
        counts &= as_mask(sample.valid, "sample.valid", counts.shape, "where a pixel counts")
    parts = {
        "s0-10": metrics.speed_between(truth, 0, 10),
        "s10-40": metrics.speed_between(truth, 10, 40),
        "s40+": metrics.speed_between(truth, 40),
        "boundaries": metrics.near(metrics.motion_boundaries(truth), 10),
    }
    for name, inside, outside in (
        ("occlusion", "unmatched", "matched"),
        ("foreground", "foreground", "background"),
    ):
        if (marks := getattr(sample, name)) is not None:
            marked, known = read(marks, f"sample.{name}", MARKS)
            if marked.shape != counts.shape:
                raise ValueError(f"sample.{name} has shape {marked.shape}, wanted {counts.shape}")
            told = np.ones(counts.shape, bool) if known is None else known
            parts |= {inside: told & (marked != 0), outside: told & (marked == 0)}
    return {"all": counts} | {name: counts & part for name, part in parts.items()}


def measure(flow: npt.ArrayLike, sample: Sample) -> dict[str, float]:
    """Measure a flow against the truth of a sample.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v) in pixels; gaps are filled as :func:`variflow.metrics.complete` does.
    sample : Sample
        With truth.

    Returns
    -------
    figures : dict
        ``density`` (percent of the frame that the estimate knew), ``pixels`` (that count), ``epe`` (mean end-point
        error, px), ``fl`` (outliers of KITTI, percent), ``angle`` (mean angular error, degrees), ``a50`` ... (A-x,
        px), ``r0.5`` ... (R-x, percent: the x-pixel outliers), ``ie`` and ``ne`` (interpolation error and its
        normalized form, gray values) where the sample has the frame between; and ``pixels_``, ``epe_`` and ``fl_`` of
        each part in :data:`REGIONS` that has pixels.

    Raises
    ------
    ValueError
        If the sample has no truth, or no pixel counts.

    Examples
    --------
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
    >>> figures = measure(pair.flow + (0.0, 0.5), pair)
    >>> figures["epe"], figures["r1"]
    (0.5, 0.0)
    """
    if sample.flow is None:
        raise ValueError(f"sample {sample.name} has no flow, wanted the true one")
    estimate = as_flow(flow)
    density = 100 * float(find_known(estimate).mean())
    estimate = metrics.complete(estimate)
    parts = regions(sample)
    everything = parts.pop("all")
    error = metrics.endpoint_error_map(estimate, sample.flow)[everything]
    figures = {
        "density": density,
        "pixels": float(error.size),
        "epe": metrics.endpoint_error(estimate, sample.flow, everything),
        "fl": metrics.outliers(estimate, sample.flow, everything),
        "angle": metrics.angular_error(estimate, sample.flow, everything),
    }
    figures |= {f"a{percent}": metrics.accuracy(error, percent) for percent in (50, 75, 95)}
    figures |= {f"r{above}": metrics.robustness(error, above) for above in (0.5, 1, 2, 3, 5)}
    if sample.between is not None:
        made = metrics.in_between(sample.frame0, sample.frame1, estimate)
        figures["ie"] = metrics.interpolation_error(made, sample.between)
        figures["ne"] = metrics.interpolation_error(made, sample.between, normalized=True)
    for name, part in parts.items():
        if part.any():
            figures[f"pixels_{name}"] = float(part.sum())
            figures[f"epe_{name}"] = metrics.endpoint_error(estimate, sample.flow, part)
            figures[f"fl_{name}"] = metrics.outliers(estimate, sample.flow, part)
    return figures
