"""Windows: rectangles of pixels, and the parts of frames that lie in them."""

from __future__ import annotations

from typing import NamedTuple, Self


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

    def grow(self, margin: int, shape: tuple[int, int], step: int = 1) -> Window:
        """Return the window with a margin on each side, inside a frame; it begins and ends at multiples of `step`."""
        top, left = ((first - margin) // step * step for first in (self.top, self.left))
        bottom, right = (-(-(after + margin) // step) * step for after in (self.bottom, self.right))
        return Window(top, left, bottom, right).intersect(shape)

    def move(self, x: int, y: int) -> Window:
        """Return the window, moved by so many pixels."""
        return Window(self.top + y, self.left + x, self.bottom + y, self.right + x)

    def intersect(self, shape: tuple[int, int]) -> Window:
        """Return the part inside a frame; its size is 0 if there is none."""
        height, width = shape
        top, left = min(max(self.top, 0), height), min(max(self.left, 0), width)
        return Window(top, left, max(top, min(self.bottom, height)), max(left, min(self.right, width)))

    def unite(self, other: Window) -> Window:
        """Return the smallest window that holds both."""
        return Window(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def within(self, other: Window) -> tuple[slice, slice]:
        """Return where the window lies in the pixels of another one, as slices of rows and columns."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


class Part(NamedTuple):
    """The part of a frame that planes show, at one size of the frame.

    Attributes
    ----------
    window : Window
        Which pixels these are.
    whole : (int, int)
        Height and width of the whole frame at this size.
    """

    window: Window
    whole: tuple[int, int]

    @classmethod
    def all(cls, shape: tuple[int, int]) -> Self:
        """Return the whole of a frame."""
        return cls(Window(0, 0, *shape), shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.window.shape

    def bring(self, whole: tuple[int, int]) -> Part:
        """Return what shows this part, if the whole frame has another size."""
        (height, width), (rows, columns) = whole, self.whole
        top, left, bottom, right = self.window
        first = top * height // rows, left * width // columns
        after = -(-bottom * height // rows), -(-right * width // columns)
        return Part(Window(*first, *after), whole)
