"""The planes of a flow in units, each with the attributes that say what it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from variflow.base.choices import suggest
from variflow.flowops.coarsening import coarsen
from variflow.flowops.fields import Flow
from variflow.flowops.gradients import divergence, vorticity
from variflow.flowops.strains import strain
from variflow.flowops.units import Units
from variflow.io.fields.dataset import MASK_MEANING, MASKED, MEASURED, REJECTED

Field = Literal["speed", "vorticity", "divergence", "strain"]
FIELDS: tuple[str, ...] = get_args(Field)

Plane: TypeAlias = NDArray[Any]
Attributes: TypeAlias = dict[str, object]
Variable: TypeAlias = tuple[Plane, Attributes]
Variables: TypeAlias = dict[str, Variable]

# Where y points, by the sign that y and v take.
SAYS = {1: "downwards", -1: "upwards"}


def check_field_names(fields: str | Iterable[str]) -> list[Field]:
    """Return names of fields that can be derived, in one order; raise ValueError for any other."""
    if not isinstance(fields, Iterable):
        raise ValueError(f"fields is {fields!r}, wanted some of {', '.join(map(repr, FIELDS))}")
    names = [fields] if isinstance(fields, str) else list(fields)
    for name in names:
        if name not in FIELDS:
            near = suggest(name, FIELDS) if isinstance(name, str) else ""
            raise ValueError(f"fields has {name!r}, wanted some of {', '.join(map(repr, FIELDS))}{near}")
    known: list[Field] = [name for name in get_args(Field) if name in names]
    return known


def make_velocity(values: Flow, units: Units, sign: int) -> Variables:
    """Return u and v in their unit, where y points down (`sign` 1) or up (-1)."""
    along = {"u": "along x, to the right", "v": f"along y, {SAYS[sign]}"}
    return {
        name: (
            _scale(values[..., component], units.per_frame * (sign if name == "v" else 1)),
            {"units": units.velocity, "long_name": f"{units.motion} {along[name]}"},
        )
        for component, name in enumerate(along)
    }


def make_occlusion(hidden: NDArray[np.bool_], known: NDArray[np.bool_], grid: int | None) -> Variable:
    """Return which known pixels are hidden or, with a grid, in which squares half of them or more are."""
    about: Attributes = {
        "long_name": "hidden in the second frame" if grid is None else "half of the pixels or more are hidden",
        "flag_values": np.arange(2, dtype=np.int8),
        "flag_meanings": "visible hidden",
    }
    if grid is None:
        return (hidden & known).astype(np.int8), about
    share, _ = coarsen(np.where(known, hidden.astype(np.float32), np.float32(np.nan)), grid)
    return (share >= 0.5).astype(np.int8), about


def derive(field: Flow, wanted: list[Field], units: Units, sign: int) -> Variables:
    """Return derivatives of a flow, where y points down (`sign` 1) or up (-1)."""
    rate = "" if units.interval is None else "rate of "
    derived: Variables = {}
    if "vorticity" in wanted:
        turning = "clockwise" if sign > 0 else "counter-clockwise"
        name = f"vorticity, dv/dx - du/dy, above 0 where it turns {turning} as seen"
        derived["vorticity"] = _scale(vorticity(field), sign * units.per_second), {"long_name": name}
    if "divergence" in wanted:
        derived["divergence"] = _scale(divergence(field), units.per_second), {"long_name": "divergence, du/dx + dv/dy"}
    if "strain" in wanted:
        tensor = strain(field)
        for name, (row, column), formula in (
            ("strain_xx", (0, 0), "du/dx"),
            ("strain_yy", (1, 1), "dv/dy"),
            ("strain_xy", (0, 1), "(du/dy + dv/dx) / 2"),
        ):
            factor = units.per_second * (sign if row != column else 1)
            derived[name] = _scale(tensor[..., row, column], factor), {"long_name": f"{rate}small strain, {formula}"}
    for _, said in derived.values():
        said["units"] = units.rate
    return derived


def make_mask(unknown: NDArray[np.bool_], flags: NDArray[np.int8] | None, grid: int | None) -> Variable:
    """Return what became of each vector, or of most known ones of a square; what is unknown was masked or rejected."""
    if flags is None:
        found = np.where(unknown, np.int8(MASKED), np.int8(MEASURED))
    elif grid is None:
        found = np.where(unknown & (flags != REJECTED), np.int8(MASKED), flags)
    else:
        shares = [coarsen((flags == flag).astype(np.float32), grid)[0] for flag in range(REJECTED + 1)]
        shares[MASKED] = np.where(unknown, shares[MASKED], np.float32(-1))  # with a value, however few pixels know it
        most = np.argmax(shares, axis=0).astype(np.int8)
        found = np.where(unknown & (most != REJECTED), np.int8(MASKED), most)
    about: Attributes = {"standard_name": "quality_flag", **MASK_MEANING}
    return found, about


def make_confidence(sure: NDArray[np.float32], known: NDArray[np.bool_]) -> Variable:
    """Return how likely the flow is right, where it is known."""
    about: Attributes = {"units": "1", "long_name": "how likely the flow is right to within a pixel"}
    return np.where(known, sure, np.float32(np.nan)), about


def make_speed(velocity: Variables, units: Units) -> Variable:
    """Return the length of u and v."""
    about: Attributes = {"units": units.velocity, "long_name": f"length of the {units.motion}"}
    return np.hypot(velocity["u"][0], velocity["v"][0]), about


def make_count(count: NDArray[np.int32]) -> Variable:
    """Return how many pixels of each square are known."""
    about = {"units": "1", "long_name": "number of known pixels", "standard_name": "number_of_observations"}
    return count, dict(about)


def _scale(plane: Plane, factor: float) -> NDArray[np.float32]:
    return np.multiply(plane, factor, dtype=np.float64).astype(np.float32)
