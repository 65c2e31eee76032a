"""The units of a flow: what a pixel and the time between two frames are worth."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias

from variflow.base.choices import check_choice, check_number

# A number of metres, or a number and its unit.
PixelSize: TypeAlias = float | tuple[float, str]

# How many metres each unit is.
LENGTHS = {"m": 1.0, "km": 1e3, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
# The two letters that look like a Greek mu, as UDUNITS spells them.
_MU = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})


@dataclass(frozen=True)
class Units:
    """How pixels and frames become lengths and times.

    Attributes
    ----------
    length : str
        The unit of positions, "pixel" where the size of a pixel is not known.
    pixel : float
        How many of it a pixel is.
    interval : float or None
        The seconds from the first frame to the second; None where it is not known.
    """

    length: str
    pixel: float
    interval: float | None

    @property
    def motion(self) -> str:
        """What u and v are."""
        return "displacement" if self.interval is None else "velocity"

    @property
    def velocity(self) -> str:
        """The unit of u and v: of a velocity, or of a displacement where no interval is known."""
        return self.length if self.interval is None else f"{self.length} s-1"

    @property
    def rate(self) -> str:
        """The unit of derivatives of u and v."""
        return "1" if self.interval is None else "s-1"

    @property
    def per_frame(self) -> float:
        """What a displacement of one pixel becomes."""
        return self.pixel * self.per_second

    @property
    def per_second(self) -> float:
        """What a derivative of one pixel per pixel becomes."""
        return 1.0 if self.interval is None else 1 / self.interval


def check_units(pixel_size: object, dt: object) -> Units:
    """Return the units that the size of a pixel and the interval between frames make.

    Raises
    ------
    ValueError
        If `pixel_size` is neither None, a number of metres nor a pair of a number and a unit, or `dt` neither None
        nor a number of seconds.
    """
    interval = None if dt is None else check_number("dt", dt, above=0, what="a finite number of seconds")
    if pixel_size is None:
        return Units("pixel", 1.0, interval)
    wanted = 'a finite number of metres, or a pair such as (25, "um"),'
    number, unit = pixel_size if isinstance(pixel_size, tuple | list) and len(pixel_size) == 2 else (pixel_size, "m")
    if isinstance(unit, Real):
        raise ValueError(f"pixel_size is {pixel_size!r}, wanted {wanted} above 0: pixels are square")
    length = check_choice("pixel_size unit", unit.translate(_MU) if isinstance(unit, str) else unit, tuple(LENGTHS))
    return Units(length, check_number("pixel_size", number, above=0, what=wanted), interval)
