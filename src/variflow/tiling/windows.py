"""Windows of a frame: its tiles, and tiles with a margin around them."""

from __future__ import annotations

from typing import NamedTuple

# Windows begin and end at multiples of a step between these numbers of pixels, which falls on whole pixels at so many
# levels of the pyramid, as nearly as possible.
_LEAST_STEP, _MOST_STEP, _LEVELS = 40, 128, 3


class Window(NamedTuple):
    """A rectangle of pixels: the first row and column, and those after the last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grow(self, margin: int, shape: tuple[int, int], step: int) -> Window:
        """Return the window with a margin on each side, inside a frame; it begins and ends at multiples of `step`."""
        height, width = shape
        return Window(
            max(0, (self.top - margin) // step * step),
            max(0, (self.left - margin) // step * step),
            min(height, -(-(self.bottom + margin) // step) * step),
            min(width, -(-(self.right + margin) // step) * step),
        )

    def move(self, x: int, y: int) -> Window:
        """Return the window, moved by so many pixels."""
        return Window(self.top + y, self.left + x, self.bottom + y, self.right + x)

    def intersect(self, shape: tuple[int, int]) -> Window:
        """Return the part inside a frame; its size is 0 if there is none."""
        height, width = shape
        top, left = min(max(self.top, 0), height), min(max(self.left, 0), width)
        return Window(top, left, max(top, min(self.bottom, height)), max(left, min(self.right, width)))

    def within(self, other: Window) -> tuple[slice, slice]:
        """Return where the window lies in the pixels of another one, as slices of rows and columns."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


def choose_step(factor: float) -> int:
    """Return the step for a pyramid whose levels have this size, relative to the finer one.

    Then the levels of all windows lie on the same grids. Otherwise windows would sample the frames between the pixels
    of others, and seams would be seen.
    """

    def measure_misfit(step: int) -> float:
        return max(abs(step * factor**level - round(step * factor**level)) for level in range(1, _LEVELS + 1))

    return min(range(_LEAST_STEP, _MOST_STEP + 1), key=lambda step: (round(measure_misfit(step), 6), step))


def list_tiles(shape: tuple[int, int], side: int) -> list[Window]:
    """Return the tiles of a frame, row by row: squares of that side, smaller at the right and at the bottom."""
    height, width = shape
    return [
        Window(top, left, min(top + side, height), min(left + side, width))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
