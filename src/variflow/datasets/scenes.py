"""The scene that comes with the package."""

from __future__ import annotations

import numpy as np

from variflow.datasets.synthetic import Ellipse, Layer, Motion, Point, Polygon
from variflow.datasets.texture import Color, Texture

__all__ = ["DEMO"]


def __dir__() -> list[str]:
    return sorted(__all__)


def _make_star(center: Point, inner: float, outer: float, tips: int, turn: float) -> Polygon:
    """Return a smooth star: its radius swings between inner and outer."""
    angle = np.linspace(0, 2 * np.pi, 16 * tips, endpoint=False)
    radius = (inner + outer) / 2 + (outer - inner) / 2 * np.cos(tips * (angle - np.deg2rad(turn)))
    x, y = center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)
    return Polygon(tuple(zip(x.tolist(), y.tolist(), strict=True)))


def _parse_palette(*colors: str) -> tuple[Color, Color, Color, Color]:
    first, second, third, fourth = map(_color, colors)
    return first, second, third, fourth


def _color(hexadecimal: str) -> Color:
    red, green, blue = bytes.fromhex(hexadecimal)
    return red / 255, green / 255, blue / 255


def _make_dune() -> Polygon:
    """Return the ground: everything below a wavy horizon, and well beyond the frame."""
    x = np.linspace(-60, 700, 48)
    y = 372 + 24 * np.sin(x / 95) + 8 * np.sin(x / 41 + 1)
    return Polygon((*zip(x.tolist(), y.tolist(), strict=True), (700.0, 560.0), (-60.0, 560.0)))


_WATER = Texture(11, _parse_palette("0c3147", "8ccbd2", "14454a", "d3ead0"), (5.0, 150.0), contrast=1.5, slope=0.6)
_SAND = Texture(22, _parse_palette("8a5a34", "f4dcae", "9c6844", "fdf0d2"), (4.5, 80.0), contrast=1.5, slope=0.5)
_LEAF = Texture(33, _parse_palette("17391f", "93c254", "34531a", "e2e584"), (4.5, 90.0), contrast=1.8, slope=0.6)
_CORAL = Texture(44, _parse_palette("74203a", "ff9170", "963223", "ffc9a0"), (4.5, 60.0), contrast=1.9, slope=0.6)
_PLUM = Texture(55, _parse_palette("2c2054", "b99fe8", "49204f", "f2c9e4"), (4.5, 80.0), contrast=1.8, slope=0.6)
_SUN = Texture(66, _parse_palette("ad6000", "ffdb55", "c04a08", "fff0a8"), (4.5, 40.0), contrast=1.8, slope=0.5)

DEMO = (
    Layer(_WATER, Motion((-1.8, 0.7), rotation=0.3, scale=1.004, center=(320, 240))),
    Layer(_SAND, Motion((4.2, 1.5)), _make_dune()),
    Layer(_LEAF, Motion((1.5, -1.0), rotation=-4.5, center=(178, 178)), _make_star((178, 178), 78, 138, 5, 18)),
    Layer(_PLUM, Motion((0.5, 2.0), scale=1.08, center=(455, 158)), Ellipse((455, 158), (112, 88), 25)),
    Layer(_CORAL, Motion((-7.5, -4.0), rotation=3.0, center=(430, 335)), _make_star((430, 335), 54, 96, 7, 0)),
    Layer(_SUN, Motion((9.5, -6.0)), Ellipse((258, 300), (48, 42), -20)),
)
