"""The flows of a video as one field in units, along time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from variflow.base.choices import check_number
from variflow.base.errors import warn
from variflow.base.types import ArrayLike
from variflow.flowops.measured import check_field_names
from variflow.io import extras
from variflow.io.fields.dataset import MASKED
from variflow.video.pairing import PairFlow, explain_none, keep_one_size

if TYPE_CHECKING:
    from xarray import Dataset, Variable

    from variflow.flowops.coarsening import Statistic
    from variflow.flowops.labelled import Axes
    from variflow.flowops.measured import Field
    from variflow.flowops.units import PixelSize


def to_xarray(
    flows: Iterable[PairFlow],
    *,
    interval: float | None = None,
    pixel_size: PixelSize | None = None,
    dt: float | None = None,
    origin: tuple[float, float] | None = None,
    axes: Axes = "down",
    fields: Field | Iterable[Field] = (),
    grid: int | None = None,
    statistic: Statistic = "mean",
    mask: ArrayLike | None = None,
    validate: bool = False,
) -> Dataset:
    """Return the flows of many pairs in units, along time, as one data set of xarray.

    Each pair becomes what `Result.to_xarray` makes of it. A pair without a flow is named in a `VariflowWarning`; in the
    data set its vectors are missing, and masked. All fields are in memory at once: a `grid` makes them small.

    Parameters
    ----------
    flows : iterable of PairFlow
        As `variflow.video.flows` yields them.
    interval : float, optional
        The seconds from one field to the next, above 0; the first is at 0. By default the times of the frames or, where
        these have none, as in a folder of images, their numbers.
    pixel_size, dt, origin, axes, fields, grid, statistic
        See `variflow.flowops.to_xarray`; but `dt` is the seconds from one frame to the next, by their numbers. A flow
        is divided by `dt` times the difference of the numbers of its two frames: 2 with ``step=2``, any with a
        reference, below 0 where the reference is the later one.
    mask, validate
        See `Result.to_xarray`; the mask is for all pairs.

    Returns
    -------
    xarray.Dataset
        The variables of `variflow.flowops.to_xarray` over ``time``, ``y`` and ``x``. `variflow.io.write_fields` writes
        it to a ``.nc`` file. The attribute `dt` is the seconds from the first frame of a pair to the second; for flows
        from a reference, where each pair has its own, `dt` is a coordinate along ``time``.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError, ValueError
        If types, shapes or ranges do not fit, or no pair has a flow.

    Examples
    --------
    >>> from variflow import video
    >>> from variflow.datasets import synthetic
    >>> scene = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(4)]
    >>> data = video.to_xarray(video.flows(scene, "fast"), interval=0.1, pixel_size=25e-6, dt=2e-4, grid=16)
    >>> dict(data.sizes), data.time.values.round(3).tolist(), data.u.units
    ({'time': 3, 'y': 3, 'x': 4}, [0.0, 0.1, 0.2], 'm s-1')
    """
    xarray = extras.load("xarray")
    if interval is not None:
        interval = check_number("interval", interval, above=0, what="a finite number of seconds")
    names = check_field_names(fields)
    found: list[Dataset | None] = []
    pairs: list[PairFlow] = []
    for pair in keep_one_size(flows):
        pairs.append(pair.drop_arrays())
        if pair.result is None:
            warn(f"no flow of the frames {pair.first.number} and {pair.second.number}: {pair.fault}")
            found.append(None)
            continue
        field = pair.result.to_xarray(
            pixel_size=pixel_size,
            dt=dt,
            origin=origin,
            axes=axes,
            fields=names,
            grid=grid,
            statistic=statistic,
            mask=mask,
            validate=validate,
        )
        found.append(_divide_rates(field, pair.span))
    first = next((field for field in found if field is not None), None)
    if first is None:
        raise ValueError(explain_none(pairs))
    missing = _make_missing(first)
    fields_in_time = [missing if field is None else field for field in found]
    joined: Dataset = xarray.concat(
        fields_in_time, _make_time(interval, pairs), data_vars="all", coords="minimal", compat="override",
        join="override", combine_attrs="override",
    )  # fmt: skip
    return _describe_spans(joined, pairs, dt)


def _divide_rates(field: Dataset, span: int) -> Dataset:
    """Divide what is per second by the number of frames, below 0 back in time, from the first of a pair to the second.

    The field was made as if the frames of the pair were neighbours.
    """
    for name in _find_rates(field):
        field[name][...] = field[name].values / (abs(span) if name == "speed" else span)
    return field


def _find_rates(field: Dataset) -> list[str]:
    """Return the names of what is per second."""
    return [str(name) for name, plane in field.data_vars.items() if str(plane.attrs.get("units")).endswith("s-1")]


def _describe_spans(field: Dataset, pairs: list[PairFlow], dt: float | None) -> Dataset:
    """Say between which frames the flows are, and how many seconds are between them."""
    first, spans = pairs[0], [pair.span for pair in pairs]
    if first.from_reference:
        field.attrs["title"] = f"Flow from frame {first.first.number} to each other frame"
    elif first.span > 1:
        field.attrs["title"] = f"Flow from one frame to that {first.span} frames later"
    if dt is None:
        return field
    if not first.from_reference and len(set(spans)) == 1:
        return field.assign_attrs(dt=first.span * field.attrs["dt"])
    for name in _find_rates(field):
        field[name].attrs["long_name"] += "; mean over the time between both frames"
    for name in ("dt", "dt_unit"):
        del field.attrs[name]
    seconds = dt * np.array(spans, np.float64)
    about = {"units": "s", "long_name": "time from the first frame to the second"}
    return field.assign_coords(dt=("time", seconds, about))


def _make_missing(field: Dataset) -> Dataset:
    """Return a field like another, in which nothing was measured."""
    missing = field.copy(deep=True)
    for variable in missing.data_vars.values():
        variable[...] = np.nan if variable.dtype.kind == "f" else 0
    missing["mask"][...] = MASKED
    return missing


def _make_time(interval: float | None, pairs: list[PairFlow]) -> Variable:
    """Return the axis along which fields are joined: seconds where they are known, or else numbers of frames."""
    make = extras.load("xarray").Variable
    times = [pair.shown.time for pair in pairs]
    if interval is None and None in times:
        numbers = [pair.shown.number for pair in pairs]
        axis: Variable = make("time", numbers, {"long_name": "number of the frame, from 0", "axis": "T"})
    else:
        seconds = times if interval is None else interval * np.arange(len(pairs))
        axis = make("time", np.asarray(seconds, np.float64), {"units": "s", "long_name": "time", "axis": "T"})
    return axis
