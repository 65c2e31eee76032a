"""Register frames onto a reference: motion correction, one frame after another."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image, as_image, as_iterable, as_pixels, refuse_one_frame
from variflow.base.brief import Brief, name_runs
from variflow.base.caching import cached_property
from variflow.base.choices import check_choice, check_whole
from variflow.base.errors import warn
from variflow.base.kinds import is_float, name_kind
from variflow.base.types import ArrayLike, Numbers
from variflow.calling import explain_calls
from variflow.driver import run_to_end
from variflow.energy import Energy
from variflow.flowops.correction import Fill, check_fill, correct
from variflow.flowops.fields import find_inside
from variflow.flowops.fitting import MOTIONS, Motion, fit
from variflow.flowops.matrices import from_matrix
from variflow.images.warping import warp
from variflow.model import Model
from variflow.problem import pose
from variflow.result import Result
from variflow.start.from_model import FromModel
from variflow.state import State
from variflow.video.cuts import is_cut

Flow = NDArray[np.float32]

# The running reference is a mean in which each new frame counts a tenth.
_REMEMBERED = 10
# A pixel is confident if its flow is more likely right, to within a pixel, than wrong.
_CONFIDENT = 0.5
# A frame with a smaller share of confident pixels is hardly registered. Frames whose noise is as strong as their
# texture, and whose flow is still of use, have a little more; most pairs of different scenes have less. A frame that
# correlates better than the second is not asked.
_FEW, _ALIKE = 0.05, 0.9


@dataclass(frozen=True, eq=False, repr=False)
class Registered(Brief):
    """A frame that was brought onto the reference.

    Attributes
    ----------
    number : int
        Which frame it is, from 0.
    frame : (H, W) or (H, W, C) array
        The frame as it would look if nothing had moved, in the type of the frames. Integers are rounded, and cut off at
        the ends of their range.
    flow : (H, W, 2) float32
        What was corrected: ``(u, v)`` in pixels from the reference to the frame as it was given.
    shift : (float, float)
        The motion ``(u, v)`` of the whole frame in pixels, whatever its parts do: `flowops.fit` with "translation",
        whatever `motion` is. Where frames turn, no shift suits all pixels; this one is near the motion of the middle of
        the frame, and is not the motion of any one point.
    correlation_before, correlation_after : float
        Correlation of the frame with the reference as it was given, and as it was corrected; from -1 to 1, NaN where
        one of them is flat. Both are of the same pixels, those that the frame shows after its correction.
    residual : float
        How far the dense flow is from the global motion, in pixels, on average: from `motion` if that was given, and
        else from `shift`. It says what a global correction would leave, or has left.
    labels : (H, W) or (H, W, C) array, optional
        The labels of the frame, corrected; None if none were given.
    angle : float, optional
        By how many degrees the frame is turned against the reference, clockwise as it is shown; None unless `motion` is
        "rigid".
    """

    number: int
    frame: Numbers
    flow: Flow
    shift: tuple[float, float]
    correlation_before: float
    correlation_after: float
    residual: float
    _result: Result = field(repr=False)
    labels: Numbers | None = None
    angle: float | None = None
    _cut: bool = field(default=False, repr=False)

    @cached_property
    def confident(self) -> float:
        """The share of pixels whose dense flow is more likely right than wrong (`Result.confidence`), from 0 to 1.

        It is computed when it is first read, which takes about half the time of the registration.
        """
        return float((self._result.confidence > _CONFIDENT).mean())


@explain_calls
def register(
    frames: Iterable[ArrayLike],
    model: str | Model | Energy = "smooth",
    *,
    labels: Iterable[ArrayLike] | None = None,
    reference: Literal["first", "running"] | int | ArrayLike = "first",
    motion: Literal["translation", "rigid", "affine"] | None = None,
    passes: Literal[1, 2] = 1,
    fill: float | Literal["nearest"] = "nearest",
) -> Iterator[Registered]:
    """Register frames onto a reference: undo the motion of a sample that drifts and deforms.

    Frames are read one after the other and yielded as soon as they are corrected, so memory does not grow with their
    number. Light that fades, as by bleaching, is matched if the model does so, as presets other than `realtime` do.

    Parameters
    ----------
    frames : iterable of arrays
        All of one shape, each as for `estimate`: a list, an array ``(T, H, W)`` or ``(T, H, W, C)``, what
        `variflow.read_frames` opens, or a generator, even one that never ends. Floats that are NaN, and integers that
        are masked, are so in the corrected frame, too.
    model : str, Model or callable
        As for `estimate`. The preset "smooth" is for deformation; "balanced" and "fast" keep motion edges, as where
        cells slide along each other.
    labels : iterable of arrays, optional
        Labels or a mask of each frame, integers or bool, as many as `frames` and of their height and width; read one
        after the other. Each corrected pixel has the label of the pixel nearest to where it comes from, and 0 where
        that is outside the frame and `fill` is a number.
    reference : "first", "running", int or array
        What the frames are brought onto. "first" is the first frame. A whole number n is the mean of the first n
        frames, each brought onto the first: it has less noise, and these n frames, which must be there, are held in
        memory. "running" is a mean of the corrected frames before, in which the last ten count most; it follows a
        sample that changes its looks, and may slowly wander. An array is an image of the frames' shape.
    motion : {"translation", "rigid", "affine"}, optional
        Correct the motion of the whole frame only, as `flowops.fit` finds it in the dense flow. By default the dense
        flow is corrected.
    passes : {1, 2}
        With two, all frames are registered, and then once more onto the mean of the corrected ones, which has little
        noise. It takes twice the time, and `frames` must be such that can be read twice, unlike a generator.
    fill : float or "nearest"
        What pixels show that come from outside the frame: a number, NaN only if frames are floats, or the nearest pixel
        at the border.

    Yields
    ------
    Registered
        One for each frame, in order, the first one too.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong: raised at the call. If a frame is wrong: raised when it is read, with its number, from
        0. Also if there are fewer than n frames for a reference n, or fewer than two without an image as reference.

    Warns
    -----
    VariflowWarning
        When all frames are registered, if some hardly are: fewer than 5 % of the pixels are `confident`, there is
        nothing to compare, or the frame shows another scene than the reference.

    Notes
    -----
    Frames are looked up bicubically, in single precision: of large whole numbers (int32) and of float64 with a large
    offset the last digits are lost, from the eighth on. Whatever else belongs to a frame is brought along by the same
    flow: ``variflow.warp(channel, registered.flow)``.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> frames = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(3)]
    >>> for registered in variflow.register(frames, "fast"):
    ...     print(registered.number, abs(round(registered.shift[0], 1)), registered.frame.dtype)
    0 0.0 uint8
    1 1.5 uint8
    2 3.0 uint8
    """
    frames = as_iterable(frames, "frames", "variflow.read_frames opens a stack")
    refuse_one_frame(frames)
    if motion is not None:
        check_choice("motion", motion, MOTIONS[:3])
    check_choice("passes", passes, (1, 2))
    check_fill(fill)
    if passes == 2 and iter(frames) is frames:
        raise ValueError(
            f"frames is {name_kind(frames)}, which can be read only once, wanted a list, an array or what "
            "variflow.read_frames opens, for passes=2"
        )
    chosen = models.get(model)
    registered = _Registration(chosen, motion, fill).run(frames, _check_reference(reference), passes)
    if labels is None:
        return registered
    return _bring_labels(registered, as_iterable(labels, "labels", "variflow.read_frames opens a stack"), fill)


def average(registered: Iterable[Registered]) -> NDArray[np.float32]:
    """Return the mean of corrected frames, in which a pixel from outside the frame or a missing one does not count.

    Where no frame shows anything, the mean is NaN.

    Raises
    ------
    ValueError
        If there is no frame.
    """
    total = count = None
    for each in registered:
        values, counts = _take_known(each)
        if total is None or count is None:
            total, count = np.zeros(values.shape), np.zeros(values.shape)
        total += values
        count += counts
    if total is None or count is None:
        raise ValueError("frames is empty, wanted at least one frame")
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float32] = (total / count).astype(np.float32)
    return mean


def _bring_labels(registered: Iterable[Registered], labels: Iterable[ArrayLike], fill: Fill) -> Iterator[Registered]:
    """Yield each registered frame with its labels, corrected as it is."""
    for number, (each, array) in enumerate(itertools.zip_longest(registered, labels)):
        if each is None or array is None:
            fewer, more = ("frames", "labels") if each is None else ("labels", "frames")
            raise ValueError(f"{fewer} has {number} frames and {more} has more, wanted labels for each frame")
        image = as_pixels(array, f"labels {number}", each.flow.shape[:2])
        if is_float(image.dtype):
            raise TypeError(f"labels {number} has dtype {image.dtype}, wanted integers or bool")
        corrected = warp(image, each.flow, "nearest")
        if fill != "nearest":
            corrected[~find_inside(each.flow)] = 0
        yield replace(each, labels=corrected)


def _take_known(registered: Registered) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a corrected frame with 0 for what it does not know, and what it knows."""
    values = _as_floats(registered.frame)
    inside = find_inside(registered.flow)
    known = np.isfinite(values) & (inside if values.ndim == 2 else inside[..., None])
    return np.where(known, values, 0), known


def _as_floats(frame: Numbers) -> NDArray[np.float64]:
    """Return a frame as floats, NaN where it is masked."""
    values = frame.astype(np.float64)
    return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values


def _check_reference(reference: object) -> str | int | Image:
    if isinstance(reference, str):
        if reference not in ("first", "running"):
            raise ValueError(f"reference is {reference!r}, wanted 'first', 'running', a number of frames or an image")
        return reference
    if isinstance(reference, Integral):
        return check_whole("reference", reference, 1, what="a whole number of frames")
    return as_image(reference, "reference")


class _Registration:
    """Registers frames in one pass or more, and warns at the end of those that hardly are registered."""

    def __init__(self, model: Model, motion: Motion | None, fill: Fill) -> None:
        self._options = model, motion, fill
        self._failed: set[int] = set()
        self._reasons: dict[str, None] = {}
        self._in_other_scene = False

    def run(self, frames: Iterable[ArrayLike], reference: str | int | Image, passes: int) -> Iterator[Registered]:
        if passes == 2:
            reference = as_image(average(self._register(frames, reference)), "the mean of frames")
        yield from self._register(frames, reference)
        if self._failed:
            several = len(self._failed) > 1
            which = f"frame{'s' * several} {name_runs(sorted(self._failed))} {'are' if several else 'is'}"
            warn(f"{which} hardly registered: {'; '.join(self._reasons)}")

    def _register(self, frames: Iterable[ArrayLike], reference: str | int | Image) -> Iterator[Registered]:
        arrays = iter(frames)
        if isinstance(reference, int):
            some = itertools.islice(arrays, reference)
            first = [as_image(array, f"frame {number}") for number, array in enumerate(some)]
            if 0 < len(first) < reference:
                raise ValueError(f"reference is {reference}, wanted at most the number of frames, {len(first)}")
            arrays = itertools.chain(first, arrays)
            reference = as_image(average(self._register(first, first[0])), "the mean of frames") if first else "first"
        template = reference if isinstance(reference, Image) else None
        number = -1
        for number, array in enumerate(arrays):
            image = as_image(array, f"frame {number}")
            template = image if template is None else template
            registered = _register_one(number, image, template, *self._options)
            self._note(registered)
            yield registered
            if reference == "running":
                template = _update(template, registered)
        if number < 0:
            raise ValueError("frames is empty, wanted at least one frame")
        if number == 0 and not isinstance(reference, Image):
            raise ValueError("frames ends after 1 frame, wanted two or more, or an image as reference")

    def _note(self, registered: Registered) -> None:
        """Note why a frame is hardly registered, if it is."""
        number, after, cut = registered.number, registered.correlation_after, registered._cut
        begins = cut and not (number and self._in_other_scene)
        reason = f"another scene begins at frame {number}" if begins else ""
        if np.isnan(after):
            reason = "there is nothing to compare"
        elif after < _ALIKE and not cut and registered.confident < _FEW:
            reason = f"fewer than {100 * _FEW:g} % of the pixels are confident"
        self._in_other_scene = cut
        self._failed |= {number} if cut or reason else set()
        self._reasons |= {reason: None} if reason else {}


def _register_one(
    number: int, image: Image, template: Image, model: Model, motion: Motion | None, fill: Fill
) -> Registered:
    # Where fine texture drifts by a few pixels, an estimate that starts from zero errs by more than one from matches.
    problem, last = pose(template, image, model), deque[State](maxlen=1)
    result = run_to_end(problem, FromModel(always=True), callback=last.append)
    shift = fit(result.flow, "translation")
    matrix = shift if motion is None else fit(result.flow, motion)
    whole = from_matrix(matrix, result.flow.shape[:2])
    flow = result.flow if motion is None else whole
    frame = correct(image, flow, fill)
    inside = find_inside(flow)
    planes = [_as_floats(np.atleast_3d(each))[inside] for each in (template.pixels, image.pixels, frame)]
    for plane, each in zip(planes, (template, image), strict=False):
        if each.known is not None:
            plane[~each.known[inside]] = np.nan
    known = np.isfinite(planes).all(axis=0)
    before, after = (_correlate(planes[0][known], plane[known]) for plane in planes[1:])
    residual = np.linalg.norm(result.flow - whole, axis=2).mean()
    cut = after < _ALIKE and is_cut(problem, last[0])
    at = float(shift[0, 2]), float(shift[1, 2])
    angle = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) if motion == "rigid" else None
    return Registered(number, frame, flow, at, before, after, float(residual), result, angle=angle, _cut=cut)


def _correlate(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if not first.size:
        return np.nan
    a, b = first - first.mean(), second - second.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else np.nan


def _update(template: Image, registered: Registered) -> Image:
    """Return the running reference after a frame: where a pixel was known before, the frame counts its share."""
    before: NDArray[np.float64] = template.pixels.astype(np.float64)
    if template.known is not None:
        before[~template.known] = np.nan
    taken, there = _take_known(registered)
    values, known = np.atleast_3d(taken), np.atleast_3d(there)
    share = 1 / min(registered.number + 1, _REMEMBERED)
    mixed = np.where(np.isfinite(before), before + share * (values - before), values)
    return as_image(np.where(known, mixed, before).astype(np.float32).reshape(template.shape), "the running reference")
