"""Smooth random patterns that can be evaluated at any real coordinate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_numbers
from variflow.base.caching import cached_property
from variflow.base.choices import check_number, check_pair, check_whole

__all__ = ["Texture"]


def __dir__() -> list[str]:
    return sorted(__all__)


Color = tuple[float, float, float]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Texture:
    """A smooth pattern of random waves, defined at every real coordinate.

    A sum of cosine waves blends four colours. Their directions and phases are random, and their wavelengths are spread
    evenly over the octaves, as in photographs. A second, coarse sum varies the hue.

    Parameters
    ----------
    seed : int
        The same seed always gives the same pattern.
    colors : four RGB colours, each in [0, 1]
        The dark and the light colour of the first hue, then those of the second.
    wavelengths : (float, float)
        Shortest and longest, px. Below 4 px the pixels no longer sample the pattern faithfully.
    contrast : float
        Spread of the blend; 1 to 3. More is harsher.
    slope : float
        The amplitude grows with this power of the wavelength; 0 (rough) to 1 (soft).
    waves : int
        How many; more is more irregular and slower.

    Examples
    --------
    >>> Texture(7)(0.25, 1.5).shape
    (3,)
    """

    seed: int
    colors: tuple[Color, Color, Color, Color] = (
        (0.10, 0.14, 0.22),
        (0.80, 0.82, 0.78),
        (0.24, 0.12, 0.10),
        (0.93, 0.84, 0.66),
    )
    wavelengths: tuple[float, float] = (4.5, 100.0)
    contrast: float = 2.0
    slope: float = 0.4
    waves: int = 64

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0)
        wanted = "the shortest and the longest, above 0"
        shortest, longest = check_pair("wavelengths", self.wavelengths, wanted, above=0)
        if shortest > longest:
            raise ValueError(f"wavelengths is {self.wavelengths}, wanted {wanted}")
        check_number("contrast", self.contrast)
        check_number("slope", self.slope)
        check_whole("waves", self.waves, 1)
        colors = as_numbers(self.colors, "colors")
        if colors.shape != (4, 3) or not (colors.min() >= 0 and colors.max() <= 1):
            raise ValueError(f"colors is {self.colors}, wanted four RGB colours in [0, 1]")

    def __call__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Reals:
        """Colours (..., 3) in [0, 1] at the points (x, y)."""
        fine, coarse = self._waves
        light = _squash(self.contrast * _sum_waves(fine, x, y))[..., None]
        hue = _squash(2 * _sum_waves(coarse, x, y))[..., None]
        dark_first, light_first, dark_second, light_second = np.asarray(self.colors, float)
        first = dark_first + light * (light_first - dark_first)
        second = dark_second + light * (light_second - dark_second)
        blend: Reals = first + hue * (second - first)
        return blend

    @cached_property
    def _waves(self) -> tuple[Reals, Reals]:
        random = np.random.default_rng(self.seed)
        shortest, longest = self.wavelengths
        fine = _draw_waves(random, shortest, longest, self.waves, self.slope)
        coarse = _draw_waves(random, max(shortest, longest / 3), longest * 1.5, 8, 0.0)
        return fine, coarse


def _draw_waves(random: np.random.Generator, shortest: float, longest: float, count: int, slope: float) -> Reals:
    """Frequencies along x and y, phases and amplitudes, (4, count); their sum has the standard deviation 1."""
    # One wavelength in each equal part of the octaves, and one direction in each equal part of the half circle.
    part = (np.arange(count) + random.random(count)) / count
    wavelength = shortest * (longest / shortest) ** part
    direction = np.pi * random.permutation((np.arange(count) + random.random(count)) / count)
    frequency = 2 * np.pi / wavelength
    amplitude = wavelength**slope
    amplitude *= np.sqrt(2 / np.sum(amplitude**2))
    phase = 2 * np.pi * random.random(count)
    return np.stack([frequency * np.cos(direction), frequency * np.sin(direction), phase, amplitude])


def _sum_waves(waves: Reals, x: npt.ArrayLike, y: npt.ArrayLike) -> Reals:
    x, y = np.broadcast_arrays(as_numbers(x, "x").astype(float), as_numbers(y, "y").astype(float))
    total = np.zeros(x.shape)
    for along_x, along_y, phase, amplitude in waves.T:
        total += amplitude * np.cos(along_x * x + along_y * y + phase)
    return total


def _squash(value: Reals) -> Reals:
    squashed: Reals = 0.5 + 0.5 * np.tanh(0.5 * value)
    return squashed
