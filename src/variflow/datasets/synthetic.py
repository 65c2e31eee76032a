"""Pairs of frames whose flow and occlusion are known exactly.

A scene is a stack of layers, from back to front. A layer is a texture, cut out by a region and moved by a motion. These
are formulas that can be evaluated at any real coordinate. So the second frame is rendered, not resampled, and the true
flow is the motion itself. Coordinates are pixels, (0, 0) is the centre of the first pixel, x points right and y down.

>>> disk = Layer(Texture(1), Motion(translation=(3.5, -1.0)), Ellipse((30, 20), (12, 8)))
>>> scene = render([Layer(Texture(0)), disk], (48, 64))
>>> scene.flow[20, 30]
array([ 3.5, -1. ], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_numbers
from variflow.base.choices import check_number, check_pair, check_shape, check_whole
from variflow.base.kinds import name_kind
from variflow.base.types import Numbers
from variflow.datasets.sample import Sample
from variflow.datasets.texture import Texture

__all__ = ["Ellipse", "Layer", "Motion", "Polygon", "Region", "Texture", "render", "translation"]


def __dir__() -> list[str]:
    return sorted(__all__)


Point = tuple[float, float]
Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
FrameType = Literal["uint8", "uint16", "float32"]


@dataclass(frozen=True)
class Motion:
    """Where a point of the first frame is in the second: rotated and scaled about a centre, then shifted.

    Parameters
    ----------
    translation : (float, float)
        Shift along x and y, px.
    rotation : float
        Rotation about `center`, degrees; positive is from the x axis to the y axis, clockwise on the screen.
    scale : float
        Growth about `center`; above 0, and 1 keeps the size.
    center : (float, float)
        The point (x, y) that rotation and scale do not move, px.

    Examples
    --------
    >>> x, y = Motion(rotation=90.0, center=(10.0, 10.0))(13.0, 10.0)
    >>> round(float(x), 9), round(float(y), 9)
    (10.0, 13.0)
    """

    translation: Point = (0.0, 0.0)
    rotation: float = 0.0
    scale: float = 1.0
    center: Point = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_pair("translation", self.translation, "two numbers (u, v)")
        check_number("rotation", self.rotation, what="an angle in degrees")
        check_pair("center", self.center, "two numbers (x, y)")
        check_number("scale", self.scale, above=0)

    def __call__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Reals, Reals]:
        """Positions in the second frame of the points (x, y) of the first."""
        dx, dy = self.displacement(x, y)
        return _as_reals(x, "x") + dx, _as_reals(y, "y") + dy

    def displacement(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Reals, Reals]:
        """Displacements (u, v), px, of the points (x, y) of the first frame; exact for a pure translation."""
        cosine, sine = self._matrix
        from_x, from_y = _as_reals(x, "x") - self.center[0], _as_reals(y, "y") - self.center[1]
        u = (cosine - 1) * from_x - sine * from_y + self.translation[0]
        v = sine * from_x + (cosine - 1) * from_y + self.translation[1]
        return u, v

    def inverse(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Reals, Reals]:
        """Positions in the first frame of the points (x, y) of the second."""
        cosine, sine = self._matrix
        from_x = _as_reals(x, "x") - self.translation[0] - self.center[0]
        from_y = _as_reals(y, "y") - self.translation[1] - self.center[1]
        square = cosine**2 + sine**2
        back_x = (cosine * from_x + sine * from_y) / square + self.center[0]
        back_y = (cosine * from_y - sine * from_x) / square + self.center[1]
        return back_x, back_y

    @property
    def _matrix(self) -> tuple[float, float]:
        angle = np.deg2rad(self.rotation)
        return float(self.scale * np.cos(angle)), float(self.scale * np.sin(angle))


def _as_reals(value: npt.ArrayLike, name: str) -> Reals:
    return as_numbers(value, name).astype(np.float64, copy=False)


class Region(Protocol):
    """Which points of the first frame belong to a layer."""

    def contains(self, x: Reals, y: Reals) -> Bools:
        """Tell which of the points (x, y) belong to the region."""
        ...

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box around the region."""
        ...


@dataclass(frozen=True)
class Ellipse:
    """A region: an ellipse.

    Parameters
    ----------
    center : (float, float)
        Its centre (x, y), px.
    radii : (float, float)
        Its half axes, px, along x and y before it is rotated.
    angle : float
        Its rotation, degrees, from the x axis to the y axis.
    """

    center: Point
    radii: Point
    angle: float = 0.0

    def __post_init__(self) -> None:
        check_pair("center", self.center, "two numbers (x, y)")
        check_pair("radii", self.radii, "two lengths above 0", above=0)
        check_number("angle", self.angle, what="an angle in degrees")

    def contains(self, x: Reals, y: Reals) -> Bools:
        """Tell which of the points (x, y) lie within."""
        cosine, sine = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
        dx, dy = x - self.center[0], y - self.center[1]
        along, across = (cosine * dx + sine * dy) / self.radii[0], (cosine * dy - sine * dx) / self.radii[1]
        within: Bools = along**2 + across**2 <= 1
        return within

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box around it."""
        (x, y), radius = self.center, max(self.radii)
        return x - radius, y - radius, x + radius, y + radius


@dataclass(frozen=True)
class Polygon:
    """A region: a closed polygon, convex or not.

    Parameters
    ----------
    points : sequence of (float, float)
        Its corners (x, y) in order, px; at least three.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.points, Iterable):
            raise ValueError(f"points is {self.points!r}, wanted at least three corners (x, y)")
        corners = tuple(check_pair("points", point, "corners (x, y)") for point in self.points)
        object.__setattr__(self, "points", corners)
        if len(self.points) < 3:
            raise ValueError(f"points has {len(self.points)} corners, wanted at least three")

    def contains(self, x: Reals, y: Reals) -> Bools:
        """Tell which of the points (x, y) lie within: a ray to the right crosses an odd number of edges."""
        x, y = np.broadcast_arrays(x, y)
        odd = np.zeros(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            if y0 != y1:
                crossing = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
                odd ^= ((y < y0) != (y < y1)) & (x < crossing)
        return odd

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box around it."""
        x, y = zip(*self.points, strict=True)
        return min(x), min(y), max(x), max(y)


@dataclass(frozen=True)
class Layer:
    """One layer of a scene.

    Parameters
    ----------
    texture : Texture
        How it looks, in coordinates of the first frame.
    motion : Motion
        How it moves; by default it does not.
    region : Region or None
        Its shape in the first frame; None is the whole plane, the background.
    """

    texture: Texture
    motion: Motion = Motion()
    region: Region | None = None


def render(
    layers: Sequence[Layer],
    shape: tuple[int, int],
    *,
    supersampling: int = 4,
    name: str = "synthetic",
    dtype: FrameType = "uint8",
) -> Sample:
    """Render a scene: two frames, the exact flow, and what is occluded.

    Outlines are anti-aliased: each layer is weighted by the fraction of the pixel that it covers. Textures are
    evaluated at the pixel centres. The flow of a pixel is that of the foremost layer at its centre in the first frame.
    The pixel is occluded if that point lies, in the second frame, behind a layer further in front, or beyond the
    outermost pixel centres.

    Parameters
    ----------
    layers : sequence of Layer
        From the back to the front; the first has no region and fills the frame.
    shape : (int, int)
        Height and width, px.
    supersampling : int
        Samples per pixel along each axis that measure its coverage, 1 to about 8.
    name : str
        Name of the sample.
    dtype : {"uint8", "uint16", "float32"}
        Type of the frames; integers fill their range, float32 lies in [0, 1] and is not rounded.

    Returns
    -------
    sample : Sample
        With frames (H, W, 3), flow float32 (H, W, 2) and occlusion bool (H, W).

    Raises
    ------
    TypeError, ValueError
        If `layers` holds something else, the first layer has a region, or `shape`, `supersampling` or `dtype` is not
        valid.

    Examples
    --------
    >>> from variflow.datasets.synthetic import Layer, Motion, render
    >>> from variflow.datasets.texture import Texture
    >>> pair = render([Layer(Texture(seed=1), Motion(translation=(2.0, 1.0)))], (24, 32))
    >>> pair.flow[0, 0]
    array([2., 1.], dtype=float32)
    """
    if not isinstance(layers, Iterable):
        raise TypeError(f"layers is {name_kind(layers)}, wanted a list of Layer")
    layers = list(layers)
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"layers[{index}] is {name_kind(layer)}, wanted a Layer")
    if not layers or layers[0].region is not None:
        raise ValueError("layers has no background, wanted a layer without a region first")
    height, width = check_shape(shape)
    check_whole("supersampling", supersampling, 1)

    moved = [_render_frame(layers, (height, width), supersampling, second) for second in (False, True)]
    frame0, frame1 = (_quantise(frame, dtype) for frame in moved)
    flow, occlusion = _render_motion(layers, (height, width))
    return Sample(name, frame0, frame1, flow, occlusion)


def translation(
    shape: tuple[int, int],
    shift: Point = (0.5, 0.25),
    *,
    seed: int = 0,
    noise: float = 0.0,
    dtype: FrameType = "uint8",
) -> Sample:
    """One textured plane, moved by an exact shift of any size.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    shift : (float, float)
        Displacement (u, v), px, the same at every pixel.
    seed : int
        The seed of texture and noise.
    noise : float
        Standard deviation of Gaussian noise, drawn for each frame, as a fraction of the range of intensities.
    dtype : {"uint8", "uint16", "float32"}
        Type of the frames, as in :func:`render`; with noise, float32 may leave [0, 1].

    Returns
    -------
    sample : Sample
        As :func:`render` returns it.

    Examples
    --------
    >>> translation((24, 32), (1.25, 0.0)).flow[3, 4]
    array([1.25, 0.  ], dtype=float32)
    """
    check_pair("shift", shift, "two numbers (u, v)")
    check_number("noise", noise, least=0, what="a standard deviation")
    plane = [Layer(Texture(seed), Motion(shift))]
    clean = render(plane, shape, name="translation", dtype=dtype if noise == 0 else "float32")
    if noise == 0:
        return clean
    random = np.random.default_rng([seed, 1])
    noisy = [frame + noise * random.standard_normal(frame.shape) for frame in (clean.frame0, clean.frame1)]
    frame0, frame1 = (_quantise(frame, dtype) for frame in noisy)
    return Sample(clean.name, frame0, frame1, clean.flow, clean.occlusion)


def _render_frame(layers: list[Layer], shape: tuple[int, int], supersampling: int, second: bool) -> Reals:
    """Paint the layers, the foremost first, so that no texture is evaluated where it is hidden."""
    y, x = np.indices(shape, dtype=float)
    frame = np.zeros((*shape, 3))
    uncovered = np.ones(shape)
    for layer in reversed(layers):
        weight = uncovered * _measure_coverage(layer, shape, supersampling, second)
        seen = weight > 0
        at = layer.motion.inverse(x[seen], y[seen]) if second else (x[seen], y[seen])
        frame[seen] += weight[seen, None] * layer.texture(*at)
        uncovered -= weight
    return frame


def _measure_coverage(layer: Layer, shape: tuple[int, int], supersampling: int, second: bool) -> Reals:
    """Fraction of each pixel that the layer covers."""
    if layer.region is None:
        return np.ones(shape)
    coverage = np.zeros(shape)
    left, top, right, bottom = layer.region.bounds()
    corner_x, corner_y = np.array([left, right, left, right]), np.array([top, top, bottom, bottom])
    if second:
        corner_x, corner_y = layer.motion(corner_x, corner_y)
    first = np.clip([np.floor(corner_y.min()), np.floor(corner_x.min())], 0, shape).astype(int)
    last = np.clip([np.ceil(corner_y.max()) + 1, np.ceil(corner_x.max()) + 1], 0, shape).astype(int)
    box = (slice(first[0], last[0]), slice(first[1], last[1]))
    y, x = np.mgrid[box].astype(float)
    offsets = (np.arange(supersampling) + 0.5) / supersampling - 0.5
    for dy in offsets:
        for dx in offsets:
            at = layer.motion.inverse(x + dx, y + dy) if second else (x + dx, y + dy)
            coverage[box] += layer.region.contains(*at)
    return coverage / supersampling**2


def _render_motion(layers: list[Layer], shape: tuple[int, int]) -> tuple[npt.NDArray[np.float32], Bools]:
    y, x = np.indices(shape, dtype=float)
    foremost = np.zeros(shape, int)
    for index, layer in enumerate(layers):
        if layer.region is not None:
            foremost[layer.region.contains(x, y)] = index
    flow = np.empty((*shape, 2))
    for index, layer in enumerate(layers):
        own = foremost == index
        flow[own] = np.stack(layer.motion.displacement(x[own], y[own]), axis=-1)

    to_x, to_y = x + flow[..., 0], y + flow[..., 1]
    occlusion = (to_x < 0) | (to_x > shape[1] - 1) | (to_y < 0) | (to_y > shape[0] - 1)
    for index, layer in enumerate(layers):
        behind = foremost < index
        at = layer.motion.inverse(to_x[behind], to_y[behind])
        occlusion[behind] |= True if layer.region is None else layer.region.contains(*at)
    return flow.astype(np.float32), occlusion


def _quantise(frame: Reals, dtype: FrameType) -> Numbers:
    if dtype == "float32":
        return frame.astype(np.float32)
    if dtype not in ("uint8", "uint16"):
        raise ValueError(f"dtype is {dtype!r}, wanted uint8, uint16 or float32")
    largest = np.iinfo(dtype).max
    return np.rint(np.clip(frame, 0, 1) * largest).astype(dtype)
