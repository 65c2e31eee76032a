"""A flow as a data set of xarray, and back: positions, velocities and derivatives in units, each saying what it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

import variflow
from variflow.base.arrays import as_mask, as_single, check_same_shape, mark_where_any
from variflow.base.choices import check_choice
from variflow.base.types import ArrayLike
from variflow.flowops.coarsening import STATISTICS, Statistic, coarsen
from variflow.flowops.fields import check_finite, check_flow
from variflow.flowops.measured import (
    SAYS,
    Attributes,
    Field,
    Variable,
    check_field_names,
    derive,
    make_confidence,
    make_count,
    make_mask,
    make_occlusion,
    make_speed,
    make_velocity,
)
from variflow.flowops.units import PixelSize, Units, check_units
from variflow.io import extras
from variflow.io.fields.dataset import MASKED, MEASURED, REJECTED, check_fields, get_mask, measure_pixel, turn

if TYPE_CHECKING:
    from xarray import Dataset

Axes = Literal["down", "up"]
AXES: tuple[str, ...] = get_args(Axes)


def to_xarray(
    flow: ArrayLike,
    *,
    pixel_size: PixelSize | None = None,
    dt: float | None = None,
    origin: tuple[float, float] | None = None,
    axes: Axes = "down",
    fields: Field | Iterable[Field] = (),
    grid: int | None = None,
    statistic: Statistic = "mean",
    mask: ArrayLike | None = None,
    flags: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    occlusion: ArrayLike | None = None,
    model: str | None = None,
) -> Dataset:
    """Return a flow as a data set of xarray: positions, velocities and derivatives, each with its unit.

    `Result.to_xarray` is the same for an estimate, with its confidence and occlusion. Units and attributes follow the
    CF conventions. `variflow.io.write_fields` writes the data set to a file. It needs ``pip install
    'variflow[fields]'``.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, v down, NaN where unknown.
    pixel_size : float or (float, str), optional
        The side of a pixel in metres, or a pair of a number and a unit: ``25e-6`` and ``(25, "um")`` mean the same but
        for the unit of what is returned. Units are m, km, cm, mm, um and nm. By default lengths stay in pixels.
    dt : float, optional
        The seconds between the two frames: u and v become velocities and the derivatives rates. By default they stay
        displacements and their derivatives.
    origin : (float, float), optional
        Where the centre of the pixel in the first row and column is, ``(x, y)`` in the unit of positions. By default
        the smallest x and the smallest y in the frame are 0.
    axes : {"down", "up"}
        Where y and v point. With "up", as in fluid dynamics, both are negated, and so are the vorticity, which is then
        positive counter-clockwise, and the shear strain. Rows stay in the order of the image, so y falls along them.
    fields : str or iterable of str
        What to derive: "speed", "vorticity", "divergence", and "strain", which stands for `strain_xx`, `strain_yy` and
        `strain_xy`, small strains or rates of strain.
    grid : int, optional
        Bring all to squares of so many pixels (see `coarsen`); `count` says how many pixels of each are known.
        Derivatives are taken before that, between neighbouring pixels.
    statistic : {"mean", "median"}
        What a square gets. It counts as hidden where half of its known pixels or more are.
    mask : (H, W) bool array, optional
        True where a pixel is usable; elsewhere the flow is taken as unknown.
    flags : (H, W) int array, optional
        What became of each vector, as `validate` returns it: 0 measured, 1 masked, 2 replaced, 3 rejected. A square has
        the flag of most of its known pixels. By default known vectors are measured, and others masked.
    confidence : (H, W) array, optional
        How likely the flow is right, from 0 to 1.
    occlusion : (H, W) bool array, optional
        Where a point is hidden in the second frame.
    model : str, optional
        What computed the flow, for the attribute `source`.

    Returns
    -------
    xarray.Dataset
        Over ``y`` and ``x``: float32 `u` and `v`, `confidence` and `occlusion` where given, `mask` (the
        flags), the derived fields, and with a grid `count`. What is unknown is NaN; `occlusion` is 0 there.
        The attribute `y_axis` says "down" or "up".

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    References
    ----------
    NetCDF Climate and Forecast (CF) Metadata Conventions, version 1.11, https://cfconventions.org.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:32, :48]
    >>> turning = np.stack([-0.1 * y, 0.1 * x], axis=2)
    >>> data = flowops.to_xarray(turning, pixel_size=25e-6, dt=2e-4, fields="vorticity", grid=16)
    >>> data.sizes["y"], data.sizes["x"], data.u.units, data.vorticity.units
    (2, 3, 'm s-1', 's-1')
    >>> float(data.vorticity[0, 0].round()), float(data.x[0].round(7))
    (1000.0, 0.0001875)
    """
    xarray = extras.load("xarray", "a data set with units")
    units = check_units(pixel_size, dt)
    sign = {"down": 1, "up": -1}[check_choice("axes", axes, AXES)]
    wanted = check_field_names(fields)
    field = check_flow(flow)
    shape = field.shape[:2]
    if mask is not None:
        field[~as_mask(mask, "mask", shape)] = np.nan
    known = ~np.isnan(field[..., 0])
    check_choice("statistic", statistic, STATISTICS)

    def bring(variable: Variable) -> Variable:
        plane, about = variable
        return variable if grid is None else (coarsen(plane, grid, statistic)[0], about)

    values, count = (field, None) if grid is None else coarsen(field, grid, statistic)
    velocity = make_velocity(values, units, sign)
    variables = dict(velocity)
    if confidence is not None:
        sure = as_single(confidence, "confidence")
        check_same_shape("confidence", sure.shape, "flow", shape)
        variables["confidence"] = bring(make_confidence(sure, known))
    if occlusion is not None:
        hidden = as_mask(occlusion, "occlusion", shape, "where a point is hidden")
        variables["occlusion"] = make_occlusion(hidden, known, grid)
    variables["mask"] = make_mask(np.isnan(values[..., 0]), None if flags is None else check_flags(flags, shape), grid)
    if "speed" in wanted:
        variables["speed"] = make_speed(velocity, units)
    variables |= {name: bring(derived) for name, derived in derive(field, wanted, units, sign).items()}
    if count is not None:
        for name in variables.keys() - {"mask", "occlusion"}:
            variables[name][1]["cell_methods"] = f"y: x: {statistic}"
        variables["count"] = make_count(count)
    beside = " ".join(name for name in ("confidence", "mask", "count") if name in variables)
    for _, about in velocity.values():
        about["ancillary_variables"] = beside
    dataset: Dataset = xarray.Dataset(
        {name: (("y", "x"), plane, about) for name, (plane, about) in variables.items()},
        _make_coordinates(shape, grid, origin, units, sign),
        _describe(units, axes, model),
    )
    return dataset


def from_xarray(dataset: Dataset) -> NDArray[np.float32]:
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
    flow[np.isin(get_mask(checked), (MASKED, REJECTED)) | mark_where_any(np.isnan(flow))] = np.nan
    return flow.astype(np.float32)


def _make_coordinates(
    shape: tuple[int, ...], grid: int | None, origin: tuple[float, float] | None, units: Units, sign: int
) -> dict[str, tuple[str, NDArray[np.floating], Attributes, Attributes]]:
    """Return x and y of the centres of pixels or squares; they are known everywhere, so nothing marks what is not."""
    height, width = shape
    start = (0.0, 0.0 if sign > 0 else (height - 1) * units.pixel) if origin is None else _check_origin(origin)
    side = grid or 1
    x, y = (np.arange(length // side) * side + (side - 1) / 2 for length in (width, height))
    about_x: Attributes = {"units": units.length, "long_name": "position along x, to the right", "axis": "X"}
    about_y: Attributes = {"units": units.length, "long_name": f"position along y, {SAYS[sign]}", "axis": "Y"}
    return {
        "x": ("x", start[0] + x * units.pixel, about_x, {"_FillValue": None}),
        "y": ("y", start[1] + sign * y * units.pixel, about_y, {"_FillValue": None}),
    }


def check_flags(flags: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Return flags as `validate` makes them, of a flow of this height and width; raise ValueError of others."""
    array = np.asarray(flags)
    check_same_shape("flags", array.shape, "flow", shape)
    if array.dtype.kind not in "iu" or not ((array >= MEASURED) & (array <= REJECTED)).all():
        raise ValueError(f"flags holds {array.dtype} values other than 0, 1, 2 and 3, wanted what validate returns")
    return array.astype(np.int8)


def _check_origin(origin: object) -> tuple[float, float]:
    if not (isinstance(origin, tuple | list) and len(origin) == 2):
        raise ValueError(f"origin is {origin!r}, wanted a pair (x, y) of numbers")
    return check_finite("x of origin", origin[0]), check_finite("y of origin", origin[1])


def _describe(units: Units, axes: str, model: str | None) -> Attributes:
    source = f"variflow {variflow.__version__}"
    said: Attributes = {
        "Conventions": "CF-1.11",
        "title": "Flow from one frame to the next",
        "source": source if model is None else f"{source}, model {model}",
    }
    if units.length != "pixel":
        said |= {"pixel_size": units.pixel, "pixel_size_unit": units.length}
    if units.interval is not None:
        said |= {"dt": units.interval, "dt_unit": "s"}
    return said | {"y_axis": axes}
