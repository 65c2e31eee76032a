"""How the energy of an estimate falls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from variflow.base.kinds import name_kind
from variflow.view.panels import find_figure, make_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from variflow.state import EnergyRecord


# The energy is on a logarithmic scale from this share on. So many levels have room for their names.
_DEEP, _NAMED = 0.1, 8
_INK = "#1f4e79"


class HasEnergies(Protocol):
    """A `Result`."""

    @property
    def energies(self) -> list[EnergyRecord]:
        """The energy at each warp."""
        ...


def energies(result: HasEnergies, *, axes: Axes | None = None) -> Figure:
    """Draw how the energy falls: within each warp, and from warp to warp, level by level.

    A level has fewer pixels than the next, so that energies can be compared within a level only. Each level begins at
    1, and above it is the energy that this stands for. Energies jump between warps, because the frames are linearised
    anew; a dotted line leads from one to the next. If any is not above 0, the energies are drawn as they are.

    Parameters
    ----------
    result : Result
        What `estimate` returned; see `Result.energies`.
    axes : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure that holds the drawing. A line leads from the energy before each warp to that after it, through its
        steps if the solver knows them. The scale is logarithmic where the energy falls to a tenth and less.

    Examples
    --------
    >>> import variflow
    >>> frames = np.random.default_rng(0).random((2, 20, 30))
    >>> drawn = energies(variflow.estimate(*frames, "horn-schunck"))
    """
    records = getattr(result, "energies", None)
    if not isinstance(records, list):
        raise TypeError(f"result is {name_kind(result)}, wanted the Result of an estimate")
    if axes is None:
        axes = make_figure(1, 1, 0.5, panel=6).add_subplot()
    levels = [record.level for record in records]
    curves = [np.array([record.before, *record.steps, record.after]) for record in records]
    shared = all(curve.min() > 0 for curve in curves)
    if shared:
        first = {level: curves[levels.index(level)][0] for level in levels}
        curves = [curve / first[level] for level, curve in zip(levels, curves, strict=True)]
        if min((curve.min() for curve in curves), default=1.0) < _DEEP:
            axes.set_yscale("log")
    for begin, curve in enumerate(curves):
        if begin and levels[begin] == levels[begin - 1]:
            axes.plot([begin, begin], [curves[begin - 1][-1], curve[0]], ":", color=_INK, linewidth=1)
            axes.axvline(begin, color="white", linewidth=1, zorder=0.5)
        axes.plot(np.linspace(begin, begin + 1, len(curve)), curve, color=_INK, linewidth=1.5)
        axes.plot([begin, begin + 1], curve[[0, -1]], "o", color=_INK, markersize=3.5)
    several = list(dict.fromkeys(levels))
    for number, level in enumerate(several):
        begin, end = levels.index(level), len(levels) - levels[::-1].index(level)
        axes.axvspan(begin, end, color="#d9dee6" if number % 2 else "#eceff4", linewidth=0, zorder=0)
        if number % math.ceil(len(several) / _NAMED) == 0:
            text = f"level {level}" + (f"\n{float(f'{first[level]:.2g}'):g}" if shared else "")
            above = axes.get_xaxis_transform()
            axes.text((begin + end) / 2, 1.02, text, size="small", ha="center", va="bottom", transform=above)
    axes.set_xlim(0, max(len(levels), 1))
    axes.locator_params("x", integer=True)
    axes.set_xlabel("warp")
    axes.set_ylabel("energy, as a share of its first" if shared else "energy")
    return find_figure(axes)
