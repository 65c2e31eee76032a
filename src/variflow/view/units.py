"""The units in which a person reads a displacement: pixels, metres, or a speed."""

from __future__ import annotations

import math

from variflow.flowops.units import LENGTHS, PixelSize, check_units

_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M"}


def find_unit(pixel_size: PixelSize | None, dt: float | None) -> tuple[float, str]:
    """Return what a displacement of one pixel is, and its unit: px, m, px/s or m/s.

    Examples
    --------
    >>> from variflow.view.units import find_unit
    >>> find_unit((25, "um"), 2e-4)
    (0.125, 'm/s')
    """
    units = check_units(pixel_size, dt)
    length = "px" if units.length == "pixel" else "m"
    return units.per_frame * LENGTHS.get(units.length, 1.0), length if units.interval is None else f"{length}/s"


def round_down(value: float) -> float:
    """Return the largest of 1, 2 and 5, times a power of ten, that is at most a value above 0.

    Examples
    --------
    >>> from variflow.view.units import round_down
    >>> [round_down(value) for value in (0.3, 4.99, 5.0, 1700)]
    [0.2, 2.0, 5.0, 1000.0]
    """
    power = math.floor(math.log10(value))
    around = [float(f"{digit}e{exponent}") for exponent in (power - 1, power, power + 1) for digit in (1, 2, 5)]
    return max(number for number in around if number <= value)


def say(value: float, unit: str) -> str:
    """Return a value above 0 with its unit, with a prefix where that is metres.

    Examples
    --------
    >>> from variflow.view.units import say
    >>> say(0.02, "m/s"), say(0.5, "px")
    ('20 mm/s', '0.5 px')
    """
    if not unit.startswith("m"):
        return f"{value:.4g} {unit}"
    power = min(max(3 * math.floor(math.log10(value) / 3 + 1e-9), min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10.0**power:.4g} {_PREFIXES[power]}{unit}"
